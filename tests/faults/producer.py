"""The producer: enqueues in transactions with rows of its own, and notes which answers it got."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from time import monotonic

from tests.faults.agent import Agent
from tests.faults.facts import Fate
from tests.faults.orders import Draft, OrderBook
from tests.faults.sites import Till

EARLIER = 30


class Producer(Agent):
    """A thread. It pauses now and then, so that workers fall asleep."""

    def __init__(self, till: Till, random: Random, *, transactional: bool, gap: float) -> None:
        super().__init__()
        self._till = till
        self._random = random
        self._book = OrderBook(random, transactional=transactional)
        self._gap = gap
        self._earlier: list[int] = []
        self._wishes: list[list[Draft]] = []
        self._lock = threading.Lock()
        self._selling = threading.RLock()
        self.fates: dict[int, tuple[Fate, float]] = {}

    @contextmanager
    def still(self, *, forgets: bool = False) -> Iterator[None]:
        """Nothing is sold meanwhile. *forgets*: then the producer forgets what it sold before, as
        if it had been restored together with the store."""
        with self._selling:
            yield
            if forgets:
                self._earlier = []
                self._till.forget()

    def order(
        self, executor: str, seconds: float, count: int, started: str | None = None
    ) -> list[int]:
        """Orders of one kind, in addition to those that are drawn; answers their keys."""
        with self._lock:
            drafts = self._book.named(executor, seconds, count, started)
            self._wishes.append(drafts)
        return [draft.key for draft in drafts]

    def deliver(self) -> None:
        """After `stop`, sells what was asked for, until that is committed."""
        while self._wishes:
            self._sell(self._wishes[0], keep=True, linger=0)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._turn()

    def _turn(self) -> None:
        random = self._random
        if self._wishes:
            self._sell(self._wishes[0], keep=True, linger=0)
        linger = random.uniform(0.1, 1.0) if random.random() < 0.03 else 0.0
        keep = random.random() > 0.12
        with self._selling:  # from drawing them: what they wait for is known until they are sold
            with self._lock:
                drafts = self._book.batch(self._earlier)
            self._sell(drafts, keep=keep, linger=linger)
        pause = (
            random.uniform(0.5, 1.5)
            if random.random() < 0.03
            else random.expovariate(1 / self._gap)
        )
        self._stopping.wait(pause)

    def _sell(self, drafts: list[Draft], *, keep: bool, linger: float) -> None:
        with self._selling:
            fate, keys = self._till.sell(drafts, keep=keep, linger=linger)
            told_at = monotonic()
            for draft in drafts:
                self.fates[draft.key] = (fate, told_at)
            self._earlier = [*self._earlier, *keys][-EARLIER:]
        if self._wishes and drafts is self._wishes[0] and fate != "rolled back":
            with self._lock:
                del self._wishes[0]
        if fate != "committed" and keep:
            self._stopping.wait(0.05)
