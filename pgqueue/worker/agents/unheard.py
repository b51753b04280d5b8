"""Claims whose answers were lost with the connection."""

from __future__ import annotations

from math import inf
from time import monotonic

# This long after its answer was lost, a claim is no longer under way: it was carried out by then,
# or never will be.
LATE_SECONDS = 30.0
FIRST_RECALL_GAP_SECONDS = 0.1  # doubles with each question that gets no answer


class Unheard:
    """A claim whose answer is awaited, or will never come: when to ask what became of it."""

    def __init__(self) -> None:
        self.heard: frozenset[int] = frozenset()
        self.ask_at = inf
        self.late_at = inf
        self._gap = 0.0

    def lost(self) -> None:
        """The claim may have been carried out, or still be."""
        self.ask_at = monotonic()
        self.late_at = self.ask_at + LATE_SECONDS

    def asks(self) -> None:
        """We ask now. Unless the answer comes, we ask again after a gap, which doubles."""
        self._gap = min(2 * self._gap or FIRST_RECALL_GAP_SECONDS, LATE_SECONDS)
        self.ask_at = monotonic() + self._gap
