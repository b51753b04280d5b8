"""What ended and how long that took, of the queues that a viewer sees; and a page for one task."""

from __future__ import annotations

from datetime import UTC, datetime

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.jobs import LOOK_RUNS, RUNS, Run
from pgqueue.dashboard.pages.page import NoSuchPage, Page, View
from pgqueue.dashboard.pages.seeing import browsed
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.tally import Series
from pgqueue.operations import Plan
from pgqueue.operations.browsing import BriefJob
from pgqueue.views.charts import PERIODS, Chart, charting

NEWEST = 20


class TaskPage(Page):
    """One task, in all queues: its *runs* are its newest jobs, the oldest of them first.

    They were found among so many jobs that were *looked* at; there may be *more*.
    """

    name: str
    chart: Chart
    runs: list[Run]
    jobs: list[BriefJob]
    looked: int
    more: bool


def charted(
    access: Access, query: Form, *, queue: str | None = None, task: str | None = None
) -> Plan[Chart]:
    """Return the chart of the period that the address names. Raises NoSuchPage."""
    period = query.text("period") or next(iter(PERIODS))
    if period not in PERIODS:
        raise NoSuchPage(f"period: {period!r:.40}; there are {', '.join(PERIODS)}")

    def mine(series: Series) -> bool:
        return access.sees(series.queue) and task in (None, series.task)

    return (yield from charting(period, datetime.now(UTC), mine, queue=queue))


def task(access: Access, query: Form, name: str) -> View:
    """Return one task. Raises NoSuchPage."""
    try:
        filter = Filter(task=name)
    except ValueError as error:
        raise NoSuchPage(str(error)) from None
    chart = yield from charted(access, query, task=name)
    same = yield from browsed(access, filter, limit=RUNS, look=LOOK_RUNS)
    runs = [Run(each.id, each.state) for each in reversed(same.jobs)]
    return TaskPage(name, chart, runs, same.jobs[:NEWEST], same.looked, same.rest is not None)
