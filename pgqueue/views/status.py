"""The figures behind `pgqueue status`: what is read, and its form as JSON."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import structs

from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import Limits
from pgqueue.operations import Operation, Usage, choosing, inspections, usage
from pgqueue.operations.counting import oldest_due
from pgqueue.operations.inspections import WorkerInfo
from pgqueue.views.bridges import BridgeStatus, bridges
from pgqueue.views.text import seconds

WAITING = (State.BLOCKED, State.SCHEDULED, State.AVAILABLE, State.RETRYABLE)
MINUTE = timedelta(seconds=60)
# Reading stays cheap, whatever there is: beyond so many rows the figures are lower bounds.
MOST_COUNTED = 10_000
MOST_MEASURED = 50_000
MOST_DEAD = 1_000
BRIDGES_LOOKED_AT = 20
MOST_LIMITED = 50


class SchemaStatus(msgspec.Struct, frozen=True):
    """The schema: *version* is what has been applied, *head* what this pgqueue needs."""

    name: str
    version: str | None
    head: str


class QueueStatus(msgspec.Struct, frozen=True):
    """Live jobs by state; of those in *capped* there may be more. *oldest_due_seconds*: how late
    the first is that is due and waits. *usage* of its *limits*, and its top keys, unless there are
    very many queues with limits."""

    name: str
    paused_at: datetime | None
    workers: int
    counts: dict[str, int]
    oldest_due_seconds: float | None
    capped: tuple[str, ...] = ()
    limits: Limits | None = None
    usage: Usage | None = None


class Lately(msgspec.Struct, frozen=True):
    """Jobs that ended in one state; *waited* from due to claimed, *ran* from there to the end."""

    count: int
    per_second: float
    waited_p50_seconds: float | None
    waited_p99_seconds: float | None
    ran_p50_seconds: float | None
    ran_p99_seconds: float | None


class Status(msgspec.Struct, frozen=True):
    """All that `pgqueue status` shows. Not *exact*: some counts are lower bounds, marked "≥"."""

    at: datetime
    schema: SchemaStatus
    exact: bool
    queues: list[QueueStatus]
    last_minute_exact: bool
    last_minute: dict[str, Lately]
    leader: int | None
    workers: list[WorkerInfo]
    bridges: list[BridgeStatus]


def looking(
    schema: str, head: str, most_counted: int, most_measured: int, *, letters: bool = True
) -> Generator[Operation[Any], Any, Status]:
    """Read everything that `pgqueue status` shows, as a plan of operations.

    *head*: the schema version that this pgqueue needs. Without *letters* nobody counts the dead
    letters of outlets and inlets, a statement each. Raises SchemaMissing.
    """
    version = yield inspections.version()
    counts: inspections.Counts = yield inspections.count(most_counted)
    lately: list[inspections.Throughput] = yield inspections.throughput(MINUTE, most_measured)
    workers: list[WorkerInfo] = yield inspections.workers()
    queues: list[inspections.Queue] = yield inspections.queues()
    seen = yield from bridging(workers, counts.counts, letters=letters)
    used: dict[str, Usage] = {}
    for limited in [queue.name for queue in queues if queue.limits is not None][:MOST_LIMITED]:
        used[limited] = yield usage(limited)
    return Status(
        at=datetime.now(UTC),
        schema=SchemaStatus(schema, version, head),
        exact=counts.exact,
        queues=[_queue(each, counts.counts, workers, used.get(each.name)) for each in queues],
        last_minute_exact=sum(ended.count for ended in lately) < most_measured,
        last_minute={
            ended.state: Lately(
                ended.count,
                round(ended.count / MINUTE.total_seconds(), 3),
                seconds(ended.waited_p50),
                seconds(ended.waited_p99),
                seconds(ended.ran_p50),
                seconds(ended.ran_p99),
            )
            for ended in sorted(lately, key=lambda ended: ended.state)
        },
        leader=next((worker.id for worker in workers if worker.leads), None),
        workers=workers,
        bridges=seen,
    )


def bridging(
    workers: list[WorkerInfo], counts: list[inspections.Count], *, letters: bool = True
) -> Generator[Operation[Any], Any, list[BridgeStatus]]:
    """Read the state of outlets and inlets; with *letters* count dead ones, of the first few."""
    found = []
    for n, bridge in enumerate(bridges(w.info for w in workers if w.suspected_at is None)):
        status = bridge
        if bridge.kind == "outlet":
            mine = [c for c in counts if c.queue == bridge.name and c.state in WAITING]
            status = structs.replace(
                bridge,
                queue=bridge.name,
                waiting=sum(count.count for count in mine),
                capped=not all(count.exact for count in mine),
                oldest_due_seconds=seconds(oldest_due(mine)),
            )
        if letters and n < BRIDGES_LOOKED_AT:
            dead: choosing.Chosen = yield choosing.choose(
                Filter(queue=bridge.name, state=State.DISCARDED), newest=True, limit=MOST_DEAD
            )
            status = structs.replace(status, dead=len(dead.jobs), dead_capped=dead.rest is not None)
        found.append(status)
    return found


def _queue(
    queue: inspections.Queue,
    counts: list[inspections.Count],
    workers: list[WorkerInfo],
    used: Usage | None,
) -> QueueStatus:
    mine = [count for count in counts if count.queue == queue.name]
    return QueueStatus(
        queue.name,
        queue.paused_at,
        sum(worker.serves(queue.name) for worker in workers),
        {str(count.state): count.count for count in mine},
        seconds(oldest_due(mine)),
        tuple(str(count.state) for count in mine if not count.exact),
        queue.limits,
        used,
    )
