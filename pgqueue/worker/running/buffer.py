"""How many jobs beyond its slots a worker claims: as many as end in 20 milliseconds."""

from __future__ import annotations

from time import monotonic

MAX_BUFFER = 2_000
BUFFER_SECONDS = 0.02
RATE_SECONDS = 0.05
BURST = 20  # this many ended jobs give a rate, even before RATE_SECONDS have passed
TURN_SECONDS = 0.0005
QUANTUM_SECONDS = 0.001


class Pace:
    """Measures how fast jobs end, and so how many to hold beyond those that run.

    *finished* is how many have ended since the worker began. Quick jobs need not wait for the next
    claim, and slow ones are left to other workers.
    """

    def __init__(self) -> None:
        self._rate = 0.0  # jobs a second
        self._begin(0)

    @property
    def ahead(self) -> int:
        """How many jobs to hold beyond the slots."""
        return min(MAX_BUFFER, int(self._rate * BUFFER_SECONDS))

    @property
    def turn(self) -> int:
        """How many jobs to start in one turn of the event loop: as many as end in half a
        millisecond, so that everything else on the loop gets its turn."""
        return 1 + int(self._rate * TURN_SECONDS)

    @property
    def quantum(self) -> int:
        """How many jobs end in a millisecond: for so long, a key that has its turn keeps it."""
        return int(self._rate * QUANTUM_SECONDS)

    def begins(self, finished: int) -> None:
        """Jobs have come. If none has ended since the last count, we were idle, and that time does
        not lower the rate."""
        if finished == self._counted:
            self._begin(finished)

    def measure(self, finished: int) -> None:
        """Updates the rate, if enough jobs have ended, or enough time has passed, to tell."""
        spent, number = monotonic() - self._counted_at, finished - self._counted
        if spent > RATE_SECONDS or number >= BURST:
            rate = number / max(spent, RATE_SECONDS / BURST)
            self._rate = max(self._rate, rate)
            if spent > RATE_SECONDS:
                self._rate = (self._rate + rate) / 2
                self._begin(finished)

    def _begin(self, finished: int) -> None:
        self._counted, self._counted_at = finished, monotonic()
