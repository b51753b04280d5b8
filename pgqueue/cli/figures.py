"""The figures behind `pgqueue status`: what is read, and its form as JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from pgqueue import inspections
from pgqueue.cli.output import seconds
from pgqueue.cli.store import Connected
from pgqueue.inspections import Worker

MINUTE = timedelta(seconds=60)
# A look stays cheap, whatever there is: beyond so many rows the figures are marked as too low.
MOST_COUNTED = 100_000
MOST_MEASURED = 50_000


class SchemaStatus(msgspec.Struct, frozen=True):
    """*version* is what has been applied, *head* what this pgqueue would like."""

    name: str
    version: str | None
    head: str


class QueueStatus(msgspec.Struct, frozen=True):
    """Live jobs by state; *oldest_due_seconds*: how long the first available one has been due."""

    name: str
    paused_at: datetime | None
    workers: int
    counts: dict[str, int]
    oldest_due_seconds: float | None


class Lately(msgspec.Struct, frozen=True):
    """Jobs that ended in one state; *waited* from due to claimed, *ran* from there to the end."""

    count: int
    per_second: float
    waited_p50_seconds: float | None
    waited_p99_seconds: float | None
    ran_p50_seconds: float | None
    ran_p99_seconds: float | None


class Status(msgspec.Struct, frozen=True):
    """All that `pgqueue status` shows. Not *exact*: counts are lower bounds, marked "≥"."""

    at: datetime
    schema: SchemaStatus
    exact: bool
    queues: list[QueueStatus]
    last_minute_exact: bool
    last_minute: dict[str, Lately]
    leader: int | None
    workers: list[Worker]


def read(connected: Connected, schema: str) -> Status:
    """Asks for everything. Raises SchemaMissing."""
    version = connected.execute(inspections.version())
    counts = connected.execute(inspections.count(MOST_COUNTED))
    lately = connected.execute(inspections.throughput(MINUTE, MOST_MEASURED))
    workers = connected.execute(inspections.workers())
    queues = connected.execute(inspections.queues())
    return Status(
        at=datetime.now(UTC),
        schema=SchemaStatus(schema, version, connected.head),
        exact=counts.exact,
        queues=[_queue(queue, counts.counts) for queue in queues],
        last_minute_exact=sum(ended.count for ended in lately) < MOST_MEASURED,
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
    )


def _queue(queue: inspections.Queue, counts: list[inspections.Count]) -> QueueStatus:
    mine = [count for count in counts if count.queue == queue.name]
    due = [count.oldest for count in mine if count.state == "available"]
    return QueueStatus(
        queue.name,
        queue.paused_at,
        queue.workers,
        {str(count.state): count.count for count in mine},
        seconds(max(due, default=None)),
    )
