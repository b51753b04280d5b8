"""One queue, what queues allow, and who works on them."""

from __future__ import annotations

from typing import Any, Final

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.charting import charted
from pgqueue.dashboard.pages.page import NoSuchPage, Page, View
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import LIMITS
from pgqueue.operations import KeyException, exceptions, inspections
from pgqueue.operations.browsing import BriefJob, Browsed, browse
from pgqueue.operations.counting import Counts, oldest_due
from pgqueue.operations.inspections import Queue, WorkerInfo
from pgqueue.views.charts import Chart
from pgqueue.views.status import MOST_COUNTED
from pgqueue.views.text import seconds

SHOWN: Final = 20


class QueuePage(Page):
    """One queue: *counts* by state, lower bounds in those that are *capped*.

    *running*: those of its jobs that do; *next*: those that will, in the order of their claims.
    """

    queue: Queue
    counts: dict[str, int]
    capped: list[str]
    oldest_due_seconds: float | None
    running: list[BriefJob]
    next: list[BriefJob]
    workers: list[WorkerInfo]
    exceptions: list[KeyException]
    chart: Chart


class Limited(Page):
    """A queue that allows only so much; *used* of it is running, and so many jobs are waiting."""

    queue: Queue
    used: int
    waiting: int
    fields: dict[str, Any]


class LimitsPage(Page):
    """What queues allow, and which keys are treated in another way; *others* allow everything."""

    queues: list[Limited]
    exceptions: list[KeyException]
    others: list[str]
    exact: bool


class WorkersPage(Page):
    """The processes that are present."""

    workers: list[WorkerInfo]


def queue(access: Access, query: Form, name: str) -> View:
    """Return one queue. Raises NoSuchPage."""
    queues: list[Queue] = yield inspections.queues()
    found = next((each for each in queues if each.name == name), None)
    if found is None or not access.sees(name):
        raise NoSuchPage(f"no queue {name!r:.140} has jobs, workers or a setting")
    try:
        waiting, started = Filter(queue=name), Filter(queue=name, state=State.RUNNING)
    except ValueError as error:  # a name that somebody has written into the store by hand
        raise NoSuchPage(str(error)) from None
    counted: Counts = yield inspections.count(MOST_COUNTED)
    mine = [count for count in counted.counts if count.queue == name]
    running: Browsed = yield browse(started, limit=SHOWN)
    following: Browsed = yield browse(waiting, order="next", limit=SHOWN)
    workers: list[WorkerInfo] = yield inspections.workers()
    own = [each for each in (yield exceptions()) if each.queue == name]
    return QueuePage(
        found,
        {str(count.state): count.count for count in mine},
        [str(count.state) for count in mine if not count.exact],
        seconds(oldest_due(mine)),
        running.jobs,
        following.jobs,
        [access.part_of(worker) for worker in workers if worker.serves(name)],
        own,
        (yield from charted(access, query, queue=name)),
    )


def limits(access: Access, query: Form) -> View:
    """Return what the queues that the viewer sees allow."""
    queues: list[Queue] = yield inspections.queues()
    counted: Counts = yield inspections.count(MOST_COUNTED)
    own = [each for each in (yield exceptions()) if access.sees(each.queue)]
    limited, others = [], []
    for each in queues:
        if not access.sees(each.name):
            continue
        if each.limits is None or not each.limits.fields().keys() & set(LIMITS):
            others.append(each.name)
            continue
        waiting = sum(
            count.count
            for count in counted.counts
            if count.queue == each.name and count.state is State.AVAILABLE
        )
        fields = dict.fromkeys(LIMITS) | each.limits.fields()
        limited.append(Limited(each, each.running or 0, waiting, fields))
    exact = all(count.exact for count in counted.counts if access.sees(count.queue))
    return LimitsPage(limited, own, others, exact)


def workers(access: Access, query: Form) -> View:
    """Return the worker processes."""
    found: list[WorkerInfo] = yield inspections.workers()
    return WorkersPage([access.part_of(each) for each in found if access.sees_worker(each)])
