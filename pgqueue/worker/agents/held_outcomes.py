"""Endings that the store did not take, until it does."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from typing import TypeAlias

from pgqueue.operations import Completed, Failed, Released

Ending: TypeAlias = Completed | Failed | Released
Name: TypeAlias = tuple[int, int]

FIRST_GAP_SECONDS = 0.05
LONGEST_GAP_SECONDS = 5.0


class HeldOutcomes:
    """Endings that were put aside. Each is tried again after a growing wait, and never in a batch
    with others, which it would hold up again.

    *Held* endings wait for a lock of another transaction. Those that are due are tried together:
    the store says which of them are still held. The store refuses at least one ending of a
    *suspected* group, and does not say which. The group is tried by itself; if it is refused again,
    it is divided into halves, until the refused ending is alone.
    """

    def __init__(self) -> None:
        self._groups: list[tuple[float, int, bool, Sequence[Ending]]] = []
        self._numbers = itertools.count()
        self._gaps: dict[Name, float] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def __iter__(self) -> Iterator[Ending]:
        return (ending for *_, group in self._groups for ending in group)

    def held(self, ending: Ending) -> None:
        """Another transaction holds the job of *ending*, or a child of it."""
        self._put([ending], self._gap(ending), suspect=False)

    def suspected(self, endings: Sequence[Ending]) -> None:
        """The store did not take them, together or alone."""
        if len(endings) == 1:
            self._put(endings, self._gap(endings[0]), suspect=True)
        else:
            middle = len(endings) // 2
            self._put(endings[:middle], 0, suspect=True)
            self._put(endings[middle:], 0, suspect=True)

    def done(self, endings: Iterable[Ending]) -> None:
        """They will not come again."""
        if self._gaps:
            for ending in endings:
                self._gaps.pop(ending.held, None)

    def due(self) -> bool:
        return bool(self._groups) and self._groups[0][0] <= monotonic()

    def seconds(self) -> float:
        """Until something is due."""
        return max(0.0, self._groups[0][0] - monotonic())

    def take(self, limit: int) -> tuple[list[Ending], bool]:
        """What is due and can be tried together, about *limit*; and whether that is a suspected
        group."""
        taken: list[Ending] = []
        while self.due() and len(taken) < limit:
            _, _, suspect, group = self._groups[0]
            if suspect and taken:
                break
            heapq.heappop(self._groups)
            taken.extend(group)
            if suspect:
                return taken, True
        return taken, False

    def _put(self, group: Sequence[Ending], gap: float, *, suspect: bool) -> None:
        entry = (monotonic() + gap, next(self._numbers), suspect, group)
        heapq.heappush(self._groups, entry)

    def _gap(self, ending: Ending) -> float:
        gap = self._gaps.get(ending.held, FIRST_GAP_SECONDS)
        self._gaps[ending.held] = min(2 * gap, LONGEST_GAP_SECONDS)
        return gap
