"""A part of a queue's claims goes to other priorities than the most urgent one."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from pgqueue.operations import ClaimedJob, Lower

FIRST_REST_SECONDS = 0.01
MOST_REST_SECONDS = 1.0


class LowestShare:
    """How many jobs one queue owes to its lower priorities, and which of these is next.

    Each claimed job adds *part* to the debt; each claimed job of a lower priority reduces it by
    one. There is a debt only while claims come back full: otherwise no job waits. Where no lower
    priority has work, the next look for it comes after growing waits of up to a second.
    """

    def __init__(self) -> None:
        self.part = 0.0
        self._owed = 0.0
        self._than: int | None = None
        self._after = -inf
        self._rest = FIRST_REST_SECONDS
        self._rests_until = -inf

    def due(self, limit: int, now: float) -> tuple[Lower, int] | None:
        """The lower priority from which to claim now, and how many jobs; None if it is not time."""
        if not self.part or self._than is None or self._owed < 1 or now < self._rests_until:
            return None
        after = int(max(self._after, self._than))
        return Lower(self._than, after), min(limit, int(self._owed))

    def took(self, jobs: Sequence[ClaimedJob], limit: int, now: float) -> None:
        """A claim of the most urgent ones was answered with *jobs*, in order."""
        if not self.part:
            return
        if len(jobs) < limit:
            self._owed, self._than = 0.0, None
        elif now >= self._rests_until:
            self._than = jobs[0].priority
            self._owed += self.part * len(jobs)

    def took_lower(self, jobs: Sequence[ClaimedJob], limit: int, lower: Lower, now: float) -> None:
        """A claim of *lower* priorities was answered with *jobs*, in order."""
        self._owed -= (1 - self.part) * len(jobs)
        beyond = [job.priority for job in jobs if job.priority > lower.after]
        self._after = max(beyond or (job.priority for job in jobs), default=-inf)
        if jobs:
            self._rest = FIRST_REST_SECONDS
        if len(jobs) < limit:
            self._owed = 0.0
            self._rests_until = now + self._rest
            self._rest = min(2 * self._rest, MOST_REST_SECONDS)
