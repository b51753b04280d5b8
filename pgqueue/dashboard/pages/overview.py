"""How things are."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.charting import charted
from pgqueue.dashboard.pages.page import Page, View
from pgqueue.dashboard.pages.seeing import browsed
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import State
from pgqueue.operations import Plan
from pgqueue.operations.browsing import BriefJob
from pgqueue.views import status
from pgqueue.views.charts import Chart, Point, last_minute

LATELY = 5
MOST_MEASURED = 3_000


class OverviewPage(Page):
    """What waits, what ends, who works, what broke lately; what the tally says of a period.

    *running* of so many *slots* of all workers. *empty_in_seconds*: when nothing would wait any
    more, at the pace of the last minute; None where jobs wait that nobody takes.
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
    if not access.sees_all:
        found = yield from _part_of(access, found)
    mine = found.queues
    broke = yield from browsed(access, Filter(state=State.DISCARDED), limit=LATELY)
    waiting = sum(queue.counts.get(State.AVAILABLE, 0) for queue in mine)
    running = sum(queue.counts.get(State.RUNNING, 0) for queue in mine)
    slots = sum(int(worker.info.get("concurrency") or 0) for worker in found.workers)
    late = [queue.oldest_due_seconds for queue in mine if queue.oldest_due_seconds is not None]
    pace = sum(ended.per_second for ended in found.last_minute.values())
    stuck = any(_is_stuck(queue) for queue in mine)
    known = bool(found.workers and found.exact and access.sees_all and not stuck)
    empty_in = waiting / pace if waiting and pace and known else None
    chart = yield from charted(access, query)
    return OverviewPage(
        found,
        broke.jobs,
        waiting,
        running,
        slots,
        max(late, default=None),
        empty_in,
        chart,
    )


def _is_stuck(queue: status.QueueStatus) -> bool:
    """Do jobs wait there that nobody takes?"""
    waits = bool(queue.counts.get(State.AVAILABLE))
    return waits and (not queue.workers or queue.paused_at is not None)


def _part_of(access: Access, found: status.Status) -> Plan[status.Status]:
    """Return what *found* says of the queues that the viewer sees; what has ended in the last
    minute as workers have counted it, as the store counts it for all queues together."""
    queues = [queue for queue in found.queues if access.sees(queue.name)]
    minute: Point = yield from last_minute(datetime.now(UTC), lambda s: access.sees(s.queue))
    counts = {
        State(name): getattr(minute, name) for name in ("completed", "cancelled", "discarded")
    }
    return msgspec.structs.replace(
        found,
        exact=not any(queue.capped for queue in queues),
        queues=queues,
        last_minute={
            state: status.Lately(
                count,
                round(count / status.MINUTE.total_seconds(), 3),
                minute.waited_p50_seconds,
                minute.waited_p99_seconds,
                minute.ran_p50_seconds,
                minute.ran_p99_seconds,
            )
            for state, count in counts.items()
            if count
        },
        last_minute_exact=True,
        workers=[access.part_of(each) for each in found.workers if access.sees_worker(each)],
        bridges=[access.part_of_bridge(each) for each in found.bridges if access.sees(each.name)],
    )
