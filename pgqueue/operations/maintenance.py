"""What the leader does, and who leads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from pgqueue import checks
from pgqueue.jobs import State
from pgqueue.operations.operation import Answers, Operation, nothing
from pgqueue.operations.params import EVERYTHING, as_json, instant, of_ending


class Promoted(NamedTuple):
    """How many jobs became available, by queue; *next_due* is None when none is waiting."""

    queues: dict[str, int]
    next_due: timedelta | None


class Rescued(NamedTuple):
    """A job taken from a dead worker."""

    id: int
    state: State
    worker: int
    task: str


class Rescue(NamedTuple):
    """What was rescued, and how many workers are left."""

    jobs: list[Rescued]
    workers: int


class Sweep(NamedTuple):
    """What should not exist, and was mended."""

    stranded: int
    orphaned: int


class Leadership(NamedTuple):
    """Who leads, of how many; *worker* is None when another candidate won in this very moment."""

    elected: bool
    worker: int | None
    workers: int


@dataclass(frozen=True, slots=True)
class Retention:
    """How long finished jobs are kept, by how they ended; 0 is not at all, None for ever.

    Durations are timedeltas or seconds. Raises TypeError or ValueError for what is none.
    """

    completed: timedelta | float | None = timedelta(days=1)
    cancelled: timedelta | float | None = timedelta(days=7)
    discarded: timedelta | float | None = timedelta(days=30)

    def __post_init__(self) -> None:
        for state in ("completed", "cancelled", "discarded"):
            if (kept := getattr(self, state)) is not None:
                try:
                    object.__setattr__(self, state, checks.to_duration(kept))
                except (TypeError, ValueError) as error:
                    raise type(error)(f"Retention: {state}: {error}") from None

    def seconds(self) -> dict[str, float | None]:
        """Seconds by state."""
        durations = {
            state: getattr(self, state) for state in ("completed", "cancelled", "discarded")
        }
        return {state: d if d is None else d.total_seconds() for state, d in durations.items()}

    def kept(self) -> frozenset[State]:
        """The states whose jobs are kept at all."""
        return frozenset(State(state) for state, kept in self.seconds().items() if kept != 0)


def promote(limit: int = 1_000, *, now: datetime | None = None) -> Operation[Promoted]:
    """Due scheduled and retryable jobs become available, the longest due first."""

    def decode(answers: Answers) -> Promoted:
        *queues, (_, _, seconds, _) = answers[0]
        next_due = None if seconds is None else timedelta(seconds=seconds)
        return Promoted({queue: count for queue, count, _, _ in queues}, next_due)

    return Operation("promote", {"limit": str(limit), "now": instant(now)}, decode)


def rescue(
    *,
    patience: timedelta = timedelta(seconds=1),
    frozen: timedelta = timedelta(seconds=60),
    max_rescues: int = 3,
    keep: frozenset[State] = EVERYTHING,
    now: datetime | None = None,
) -> Operation[Rescue]:
    """The jobs of dead workers become available, or discarded after *max_rescues*.

    Dead is a worker whose presence lock has been seen free for *patience*, or who gave no heartbeat
    for
    *frozen*, whatever its lock says.
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
        "max_rescues": str(max_rescues),
        **of_ending(keep, now),
    }
    return Operation("rescue", params, decode)


def prune(retention: Retention, *, now: datetime | None = None) -> Operation[tuple[int, int]]:
    """What is past its retention goes; answers how many partitions, and how many single rows."""
    params = {"retention": as_json(retention.seconds()), "now": instant(now)}
    return Operation("prune", params, lambda a: (a[-1][0][0], a[-1][0][1]))


def sweep(
    limit: int = 1_000, *, keep: frozenset[State] = EVERYTHING, now: datetime | None = None
) -> Operation[Sweep]:
    """Finds, mends and counts what should not exist: stranded children, running jobs without a
    worker."""
    return Operation(
        "sweep", {"limit": str(limit), **of_ending(keep, now)}, lambda a: Sweep(*a[0][0])
    )


def elect(
    name: str, worker: int, term: timedelta, *, now: datetime | None = None
) -> Operation[Leadership]:
    """*worker* stays or becomes the leader, unless another one is."""

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
    """The leader steps down; whoever asks next leads."""
    return Operation("resign", {"name": name, "worker": str(worker)}, nothing)
