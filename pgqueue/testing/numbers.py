"""The numbers by which a history calls what a store has numbered."""

from __future__ import annotations

UNHEARD_OF = 2**40


class Numbers:
    """The store's numbers, replaced by the order in which they appear."""

    def __init__(self) -> None:
        self._theirs: dict[int, int] = {}
        self._ours: dict[int, int] = {}

    def appears(self, their: int, our: int | None = None) -> int:
        our = our or len(self._theirs) + 1
        self._theirs[our] = their
        self._ours[their] = our
        return our

    def theirs(self, our: int) -> int:
        return self._theirs.get(our, UNHEARD_OF + our)

    def ours(self, their: int) -> int:
        return self._ours.get(their, -their)
