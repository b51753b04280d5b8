"""The verbs that count: live jobs, and what has ended lately."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from pgqueue.jobs.job import State
from pgqueue.operations.operation import Answers, Operation
from pgqueue.operations.params import instant

_DUE: Final = (State.AVAILABLE, State.SCHEDULED, State.RETRYABLE)


class Count(msgspec.Struct, frozen=True, order=True):
    """Live jobs of one queue and state; *oldest* is how long the first of them has been due.

    *late* is the same, but for jobs that workers hand back, as they do not know their task: these
    are due anew each time, and late from the first. Not *exact*: there may be more.
    """

    queue: str
    state: State
    count: int
    oldest: timedelta
    late: timedelta
    exact: bool = True


class Counts(NamedTuple):
    """Live jobs; not *exact* when there may be more of at least one queue and state."""

    counts: list[Count]
    exact: bool


class Throughput(msgspec.Struct, frozen=True):
    """Jobs that ended in one state lately.

    They *waited* from due to claimed, and *ran* from claimed to the end.
    """

    state: State
    count: int
    waited_p50: timedelta | None
    waited_p99: timedelta | None
    ran_p50: timedelta | None
    ran_p99: timedelta | None


def count(limit: int = 10_000, *, now: datetime | None = None) -> Operation[Counts]:
    """Count live jobs by queue and state: all of them if there are fewer than *limit*, or else
    *limit* of each queue at the most, so that a large one does not hide the others."""

    def decode(answers: Answers) -> Counts:
        zero = timedelta(0)
        counts = [
            Count(queue, State(state), n, _span(due) or zero, _span(late) or zero, bool(exact))
            for queue, state, n, late, due, exact in answers[-1]
        ]
        return Counts(sorted(counts), all(count.exact for count in counts))

    params = {"limit": str(limit), "now": instant(now)}
    return Operation("count", params, decode)


def oldest_due(counts: Iterable[Count]) -> timedelta | None:
    """Return how late the longest due job is; None where no job is late.

    A blocked job waits for its parents, not for a worker, however long ago its time was.
    """
    late = (count.late for count in counts if count.state in _DUE)
    return max((each for each in late if each > timedelta(0)), default=None)


def throughput(
    since: timedelta = timedelta(seconds=60), limit: int = 10_000
) -> Operation[list[Throughput]]:
    """Measure what finished lately, and how long it took, over *limit* jobs at the most."""

    def decode(answers: Answers) -> list[Throughput]:
        return [
            Throughput(State(state), n, *map(_span, durations))
            for state, n, *durations in answers[0]
        ]

    params = {"seconds": str(since.total_seconds()), "limit": str(limit)}
    return Operation("throughput", params, decode)


def _span(seconds: float | None) -> timedelta | None:
    """Return *seconds* as a timedelta, cut to what one can hold; None for NaN."""
    if seconds is None or seconds != seconds:
        return None
    furthest = timedelta.max.total_seconds() - 1
    return timedelta(seconds=max(-furthest, min(seconds, furthest)))
