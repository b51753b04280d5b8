"""Give jobs to a worker, under a lease."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import msgspec

from pgqueue.operations.operation import Answers, Operation, Rows
from pgqueue.operations.params import as_json, boolean, instant

T = TypeVar("T")


class ClaimedJob(msgspec.Struct, frozen=True, gc=False):
    """A job that a worker has claimed: all that is needed to run it, and the lease to finish it.

    *expires_in*: the attempt must begin within so many seconds of the claim.
    """

    id: int
    priority: int
    position: int
    attempt: int
    task: str
    args: str
    max_attempts: int
    timeout_seconds: float | None
    run_at: float
    rescues: int
    progress: str | None
    metadata: str | None
    tags: list[str] | None
    workflow: int | None
    queue: str
    key: str
    expires_in: float | None
    lease: int

    def __repr__(self) -> str:
        """Leave the arguments out: a repr may end in a log."""
        return f"<ClaimedJob {self.id}, {self.task}, attempt {self.attempt}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("task", self.task), ("attempt", self.attempt)]


class Floor(NamedTuple):
    """A hint: at *priority*, nothing up to *position* is left to claim, as far as is known."""

    priority: int
    position: int


class Lower(NamedTuple):
    """Priorities lower than *than*: first those that are lower than *after*, then the others."""

    than: int
    after: int


class ClaimedInTurn(NamedTuple):
    """The answer to a claim in turn: the jobs, and the key *after* which the next claim begins.

    *more*: not all keys were looked at. *contended*: another worker was claiming. *free_in*: until
    a rate allows more. *limited*: the queue has limits; *keyed*: it has keys.
    """

    jobs: list[ClaimedJob]
    after: str
    more: bool = False
    contended: bool = False
    free_in: timedelta | None = None
    limited: bool = False
    keyed: bool = False


LAST = 2**53  # no position is beyond it
_place = attrgetter("priority", "position")
QUANTUM = 8
STEPS = 2_000


def claim(
    queue: str,
    worker: int,
    lease: int,
    limit: int,
    *,
    floors: Sequence[Floor] = (),
    lower: Lower | None = None,
    now: datetime | None = None,
) -> Operation[list[ClaimedJob]]:
    """Claim up to *limit* jobs for *worker*, most urgent first, under *lease*; an attempt begins.

    *lease* is a number of the worker's block that no other claim was given. *floors*, ascending by
    priority, say where to start; without them the whole queue is looked at, and jobs that have keys
    come first: from then on `claim_in_turn` serves their queue. One with limits answers with none.
    *lower*: only jobs of such priorities.
    """

    def decode(answers: Answers) -> list[ClaimedJob]:
        jobs = _claimed(answers[0], lease)
        jobs.sort(key=_place)
        return jobs

    params = {
        "queue": queue,
        "worker": str(worker),
        "lease": str(lease),
        "limit": str(limit),
        "floors": as_json([part for ends in _ranges(lower) for part in _segments(floors, *ends)]),
        "strays": "0" if floors or lower else str(limit),
        "now": instant(now),
    }
    return Operation("claim", params, decode)


def claim_in_turn(
    queue: str,
    worker: int,
    lease: int,
    limit: int,
    *,
    after: str = "",
    quantum: int = QUANTUM,
    steps: int = STEPS,
    counting: bool = True,
    now: datetime | None = None,
) -> Operation[ClaimedInTurn]:
    """Claim up to *limit* jobs key by key, beginning *after* a key, within the queue's limits.

    *quantum*: how many jobs of a key a turn takes, times its weight, while other keys wait.
    *steps*: how many keys to look at, at most. Without *counting*, a store may take keys that are
    full for some that are not, and find that out too late to look at others instead: cheaper where
    few are full.
    """

    def decode(answers: Answers) -> ClaimedInTurn:
        if not answers[0]:
            return ClaimedInTurn([], after)
        [(keys, *said, seconds, limited, keyed)] = answers[0]
        places = {key: n for n, key in enumerate(keys)}
        jobs = _claimed(answers[1], lease)
        jobs.sort(key=lambda job: (places[job.key], job.priority, job.position))
        at, more, contended = said
        free_in = None if seconds is None else timedelta(seconds=max(0.0, seconds))
        return ClaimedInTurn(
            *(jobs, at, bool(more), bool(contended)),
            *(free_in, bool(limited), bool(keyed)),
        )

    params = {
        "queue": queue,
        "worker": str(worker),
        "lease": str(lease),
        "limit": str(limit),
        "last_key": after,
        "quantum": str(quantum),
        "steps": str(steps),
        "counting": boolean(counting),
        "now": instant(now),
    }
    return Operation("claim_in_turn", params, decode)


def hand_over(
    ends: Operation[T], queue: str, worker: int, lease: int, limit: int
) -> Operation[tuple[T, list[ClaimedJob] | None]]:
    """Carry out *ends*, a `complete`, and claim the next job of each key of *queue* that it leaves
    free, up to *limit*, in the same transaction.

    Only where the order of a key is the queue's one limit: elsewhere nothing is claimed, and None
    says so. Other keys may have work as well: `claim_in_turn` finds it.
    """

    def decode(answers: Answers) -> tuple[T, list[ClaimedJob] | None]:
        *ended, rows = answers
        jobs = _claimed([row for row in rows if row[0] is not None], lease) if rows else None
        return ends.decode(ended), jobs

    params = {
        **ends.params,
        "queue": queue,
        "worker": str(worker),
        "lease": str(lease),
        "limit": str(limit),
    }
    return Operation("hand_over", params, decode)


def recall(worker: int, lease: int) -> Operation[list[ClaimedJob]]:
    """Read the jobs that the claim under *lease* took, when its answer was lost with the
    connection."""
    return Operation(
        "recall",
        {"worker": str(worker), "lease": str(lease)},
        lambda answers: _claimed(answers[0], lease),
    )


def recollect(worker: int) -> Operation[set[tuple[int, int]]]:
    """Read (id, lease) of every job that the store says *worker* holds."""
    return Operation("recollect", {"worker": str(worker)}, lambda a: {(id, ls) for id, ls in a[0]})


def _ranges(lower: Lower | None) -> list[tuple[Floor, int]]:
    """Return the ranges of priorities to look at, in order."""
    if lower is None:
        return [(Floor(-32_769, 0), 32_768)]
    ranges = [(Floor(max(lower), LAST), 32_768)]
    if lower.after > lower.than:
        ranges.append((Floor(lower.than, LAST), lower.after + 1))
    return ranges


def _segments(floors: Sequence[Floor], low: Floor, high: int) -> list[dict[str, int]]:
    """Return the order of a queue from *low* to the priority *high*, cut at *floors*.

    There are no gaps between the pieces: a priority that the worker has never seen is in one, too.
    """
    within = [floor for floor in floors if low.priority < floor.priority < high]
    ends = [*(floor.priority for floor in within), high]
    return [
        {"priority": priority, "position": position, "below": below}
        for (priority, position), below in zip([low, *within], ends, strict=True)
    ]


def _claimed(rows: Rows, lease: int) -> list[ClaimedJob]:
    """Return the jobs of *rows*, whose columns are a ClaimedJob's fields, in their order."""
    return [ClaimedJob(*row, lease) for row in rows]  # type: ignore[call-arg]  # as many as fields
