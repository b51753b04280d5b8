"""Sites: a store, its server, and the ways to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from pgqueue import App
from tests.faults.facts import Fate, Job, Order
from tests.faults.orders import Draft


class Till(Protocol):
    """Where the producer enqueues, in transactions with rows of its own."""

    def sell(self, drafts: Sequence[Draft], *, keep: bool, linger: float) -> tuple[Fate, list[int]]:
        """One transaction: rolled back unless *keep*, open for *linger* seconds. Answers its fate,
        and the keys of orders that others may wait for. Never raises an error of the store."""

    def forget(self) -> None:
        """Forgets what was sold before: the store is another one now."""


class Site(AbstractContextManager["Site"], Protocol):
    """A running store. Its name, and its faults, are in `SITES`."""

    transactional: bool
    true_clock: bool  # it is the machine's own, and nobody sets it

    def app(self) -> App:
        """For the threads that look after schedules, and at limits: the direct way."""

    def till(self) -> Till: ...

    def connect(self) -> Any:
        """A connection for an editor's transaction; not asked where the site has none."""

    def environment(self, slot: str, incarnation: str) -> dict[str, str]:
        """How the worker in *slot* reaches the store."""

    def unfinished(self) -> int:
        """How many jobs have not ended. Raises StoreUnavailable while the store is away."""

    def read(self) -> tuple[list[Order], list[Job], list[tuple[int, str]]]:
        """The producer's rows, the jobs, and what tasks booked."""

    def touch(self) -> None:
        """Writes something durable: how long that takes says whether the machine is starved."""


OpenSite = Callable[[Path], Site]
