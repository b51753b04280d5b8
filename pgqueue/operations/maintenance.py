"""The leader's duties, and who leads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from pgqueue.jobs.job import State
from pgqueue.jobs.retention import Retention
from pgqueue.operations.operation import Answers, Operation, Plan, nothing
from pgqueue.operations.params import EVERYTHING, as_json, instant, number, of_ending


class Promoted(NamedTuple):
    """How many jobs became available, by queue; *next_due* is None when no other is waiting.

    *next_schedule*: when the next schedule fires; 0 or less if one is due, None if there is none.
    """

    queues: dict[str, int]
    next_due: timedelta | None
    next_schedule: timedelta | None = None


class Expired(NamedTuple):
    """How many *jobs* expired; *next_due* is None when no other will."""

    jobs: int
    next_due: timedelta | None


class Rescued(NamedTuple):
    """A job taken from a dead worker."""

    id: int
    state: State
    worker: int
    task: str


class Sighting(NamedTuple):
    """What a rescuer sees of a worker: *beat* changes with each sign of life.

    *well* is false once the worker's session is gone. *back*: it has said that its session lives
    since this run of the server began.
    """

    worker: int
    beat: str
    well: bool
    back: bool = True


class Rescue(NamedTuple):
    """What was rescued, and how many workers are left."""

    jobs: list[Rescued]
    workers: int


class Pruned(NamedTuple):
    """What one call of `prune` did: partitions *dropped* and *made*, rows *deleted*.

    *failed* says, by state, what was in the way of more.
    """

    dropped: int
    made: int
    deleted: int
    failed: dict[str, str]

    def any(self) -> bool:
        """Was anything done? Then there may be more to do."""
        return self.dropped + self.made + self.deleted > 0


class Trimmed(NamedTuple):
    """How far `trim` has come: the last edge and the last workflow that it looked at."""

    child: int = 0
    parent: int = 0
    workflow: int = 0


BEGINNING = Trimmed()


class Sweep(NamedTuple):
    """How many jobs were found in a state that should not exist, and mended."""

    stranded: int
    orphaned: int


class Leadership(NamedTuple):
    """Who leads, of how many; *worker* is None when another candidate has just won."""

    elected: bool
    worker: int | None
    workers: int


def promote(limit: int = 1_000, *, now: datetime | None = None) -> Operation[Promoted]:
    """Make up to *limit* due jobs available, scheduled or retryable, the longest due first."""

    def decode(answers: Answers) -> Promoted:
        *queues, (_, _, seconds, schedule) = answers[0]
        next_due = None if seconds is None else timedelta(seconds=seconds)
        next_schedule = None if schedule is None else timedelta(seconds=float(schedule))
        return Promoted({queue: count for queue, count, _, _ in queues}, next_due, next_schedule)

    return Operation("promote", {"limit": str(limit), "now": instant(now)}, decode)


def expire(
    limit: int = 1_000,
    *,
    skip: int = 0,
    keep: frozenset[State] = EVERYTHING,
    now: datetime | None = None,
) -> Operation[Expired]:
    """Cancel up to *limit* waiting jobs that have expired, the longest first, but for *skip*.

    Running jobs are their workers'. Those that another transaction has locked are passed over.
    """

    def decode(answers: Answers) -> Expired:
        [(count, seconds)] = answers[0]
        return Expired(count, None if seconds is None else timedelta(seconds=seconds))

    params = {"limit": str(limit), "skip": str(skip), **of_ending(keep, now)}
    return Operation("expire", params, decode)


def watch() -> Operation[list[Sighting]]:
    """Read every worker, as a rescuer sees it now."""
    return Operation(
        "watch", {}, lambda a: [Sighting(*row[:2], *map(bool, row[2:])) for row in a[0]]
    )


def rescue(
    *,
    patience: timedelta = timedelta(seconds=1),
    frozen: timedelta = timedelta(seconds=60),
    silent: Mapping[int, str] | None = None,
    gone: Collection[int] = (),
    spared: Collection[int] = (),
    ends: int | None = None,
    max_rescues: int = 3,
    keep: frozenset[State] = EVERYTHING,
    now: datetime | None = None,
) -> Operation[Rescue]:
    """Make the jobs of dead workers available, or discard them after *max_rescues*.

    A worker is dead when its presence lock has been free for *patience*, or when it is *silent*:
    its beat is still the one that the rescuer has seen for too long. Without *silent*, as nobody
    has watched, a worker is silent that gave no heartbeat for *frozen*, by the store's clock. Jobs
    that another transaction has locked are passed over; where it has locked a worker's row, nothing
    can be noted there, and the worker is dead if the rescuer has seen its lock free for *patience*:
    *gone*. That the locks of those *spared* are free says nothing, as they may still come back; nor
    does it for ten seconds after the server's start, of those that have not come back since. At
    most *ends* of the jobs whose time is up are ended.
    """

    def decode(answers: Answers) -> Rescue:
        *jobs, (_, workers, _, _) = answers[-1]
        return Rescue(
            [Rescued(id, State(state), worker, task) for id, state, worker, task in jobs],
            int(workers),
        )

    params = {
        "patience_seconds": str(patience.total_seconds()),
        "frozen_seconds": str(frozen.total_seconds()),
        "silent": None if silent is None else as_json({str(id): silent[id] for id in silent}),
        "gone": as_json(sorted(gone)) if gone else None,
        "spared": as_json(sorted(spared)) if spared else None,
        "ends": number(ends),
        "max_rescues": str(max_rescues),
        **of_ending(keep, now),
    }
    return Operation("rescue", params, decode)


def prune(
    retention: Retention, limit: int = 5_000, *, now: datetime | None = None
) -> Operation[Pruned]:
    """Remove, of each state, a portion of what is past *retention*; there may be more."""

    def decode(answers: Answers) -> Pruned:
        [(dropped, made, deleted, failed)] = answers[-1]
        return Pruned(dropped, made, deleted, msgspec.json.decode(failed, type=dict[str, str]))

    params = {
        "retention": as_json(retention.seconds()),
        "limit": str(limit),
        "now": instant(now),
    }
    return Operation("prune", params, decode)


def trim(after: Trimmed = BEGINNING, limit: int = 5_000) -> Operation[Trimmed | None]:
    """Remove edges and workflows that have no jobs, looking at a portion, from *after* on.

    Answers how far it came; None when it has seen all.
    """

    def decode(answers: Answers) -> Trimmed | None:
        [came_to] = answers[-1]
        if came_to == (None, None, None):
            return None
        return Trimmed(*(b if a is None else a for a, b in zip(came_to, after, strict=True)))

    params = {name: str(value) for name, value in after._asdict().items()}
    return Operation("trim", {**params, "limit": str(limit)}, decode)


def tidy(retention: Retention, *, now: datetime | None = None) -> Plan[tuple[int, int]]:
    """Carry out all of `prune`, then of `trim`; answer how many partitions and rows are gone."""
    dropped = deleted = 0
    while (pruned := (yield prune(retention, now=now))).any():
        dropped, deleted = dropped + pruned.dropped, deleted + pruned.deleted
    came_to: Trimmed | None = BEGINNING
    while came_to is not None:
        came_to = yield trim(came_to)
    return dropped, deleted


def sweep(
    limit: int = 1_000, *, keep: frozenset[State] = EVERYTHING, now: datetime | None = None
) -> Operation[Sweep]:
    """Find, mend and count what should not exist.

    That is blocked jobs without an unfinished parent, and running jobs without a worker.
    """
    return Operation(
        "sweep", {"limit": str(limit), **of_ending(keep, now)}, lambda a: Sweep(*a[0][0])
    )


def elect(
    name: str, worker: int, term: timedelta, *, now: datetime | None = None
) -> Operation[Leadership]:
    """Make *worker* the leader *name* for *term*, anew if it leads, unless another worker does."""

    def decode(answers: Answers) -> Leadership:
        for leader, elected, workers in answers[0]:
            return Leadership(bool(elected), leader, workers)
        return Leadership(False, None, 0)

    params = {
        "name": name,
        "worker": str(worker),
        "term_seconds": str(term.total_seconds()),
        "now": instant(now),
    }
    return Operation("elect", params, decode)


def resign(name: str, worker: int) -> Operation[None]:
    """Let *worker* step down, if it leads; whoever asks next leads."""
    return Operation("resign", {"name": name, "worker": str(worker)}, nothing)
