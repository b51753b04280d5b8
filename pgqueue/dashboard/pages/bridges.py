"""Outlets and inlets: what goes to brokers and comes from them, and which of these are away."""

from __future__ import annotations

from datetime import UTC, datetime

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.page import Page, View
from pgqueue.operations import inspections
from pgqueue.operations.counting import Counts
from pgqueue.operations.inspections import Queue, WorkerInfo
from pgqueue.views.bridges import BridgeStatus
from pgqueue.views.charts import Chart, Trend, charting
from pgqueue.views.status import MOST_COUNTED, bridging


class BridgeLine(Page):
    """One outlet or inlet; its queue was *paused_at* that instant. *sent*: what an outlet's workers
    have counted in the last hour."""

    status: BridgeStatus
    paused_at: datetime | None
    sent: Trend | None


class BridgesPage(Page):
    """All of them, outlets first."""

    bridges: list[BridgeLine]


def bridges(access: Access, query: Form) -> View:
    """Return outlets and inlets as their workers see them, of the queues that the viewer sees."""
    workers: list[WorkerInfo] = yield inspections.workers()
    if not any(worker.info.get(k) for worker in workers for k in ("bridges", "outlets", "inlets")):
        return BridgesPage([])
    queues: list[Queue] = yield inspections.queues()
    counted: Counts = yield inspections.count(MOST_COUNTED)
    found: list[BridgeStatus] = yield from bridging(workers, counted.counts)
    outlets = {each.name for each in found if each.kind == "outlet"}
    hour: Chart = yield from charting(
        "hour", datetime.now(UTC), lambda series: series.queue in outlets
    )
    paused = {queue.name: queue.paused_at for queue in queues}
    sent = {line.name: line for line in hour.queues}
    return BridgesPage(
        [
            BridgeLine(
                access.part_of_bridge(each),
                paused.get(each.name) if each.kind == "outlet" else None,
                sent.get(each.name) if each.kind == "outlet" else None,
            )
            for each in found
            if access.sees(each.name)
        ]
    )
