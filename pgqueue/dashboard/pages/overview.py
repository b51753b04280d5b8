"""How things are."""

from __future__ import annotations

import msgspec

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.charting import charted
from pgqueue.dashboard.pages.page import Page, View, seen
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import State
from pgqueue.operations.browsing import BriefJob, Browsed, browse
from pgqueue.views import status
from pgqueue.views.charts import Chart

LATELY = 5
MOST_MEASURED = 3_000


class OverviewPage(Page):
    """What waits, what ends, who works, what broke lately; what the tally says of a period.

    *running* of so many *slots* of all workers. *empty_in_seconds*: when nothing would wait any
    more, at the pace of the last minute; None without workers.
    """

    status: status.Status
    broke: list[BriefJob]
    waiting: int
    running: int
    slots: int
    oldest_due_seconds: float | None
    empty_in_seconds: float | None
    chart: Chart


def overview(access: Access, query: Form, schema: str, head: str) -> View:
    """Return how things are, of the queues that the viewer sees."""
    found: status.Status = yield from status.looking(
        schema, head, status.MOST_COUNTED, MOST_MEASURED, letters=False
    )
    mine = [queue for queue in found.queues if access.sees(queue.name)]
    found = msgspec.structs.replace(
        found,
        queues=mine,
        workers=[worker for worker in found.workers if access.sees_worker(worker)],
        bridges=[bridge for bridge in found.bridges if access.sees(bridge.name)],
    )
    broke: Browsed = yield browse(Filter(state=State.DISCARDED), limit=LATELY)
    waiting = sum(queue.counts.get(State.AVAILABLE, 0) for queue in mine)
    running = sum(queue.counts.get(State.RUNNING, 0) for queue in mine)
    slots = sum(int(worker.info.get("concurrency") or 0) for worker in found.workers)
    late = [queue.oldest_due_seconds for queue in mine if queue.oldest_due_seconds is not None]
    pace = sum(ended.per_second for ended in found.last_minute.values())
    known = bool(found.workers and found.exact and access.sees_all)
    empty_in = waiting / pace if waiting and pace and known else None
    chart = yield from charted(access, query)
    return OverviewPage(
        found,
        seen(access, broke.jobs),
        waiting,
        running,
        slots,
        max(late, default=None),
        empty_in,
        chart,
    )
