"""The producer: enqueues in transactions with rows of its own, and remembers what it was told."""

from __future__ import annotations

import threading
from random import Random
from time import monotonic

from tests.faults.facts import Fate
from tests.faults.orders import Draft, OrderBook
from tests.faults.sites import Till

EARLIER = 30


class Producer:
    """A thread. It pauses now and then, so that workers fall asleep."""

    def __init__(self, till: Till, random: Random, *, transactional: bool, gap: float) -> None:
        self._till = till
        self._random = random
        self._book = OrderBook(random, transactional=transactional)
        self._gap = gap
        self._earlier: list[int] = []
        self._wishes: list[list[Draft]] = []
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
        self.fates: dict[int, tuple[Fate, float]] = {}
        self.error: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the last transaction has ended."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(60)

    def order(self, executor: str, seconds: float, count: int) -> list[int]:
        """Asks for orders of one kind, beside those that are drawn; answers their keys."""
        with self._lock:
            drafts = self._book.named(executor, seconds, count)
            self._wishes.append(drafts)
        return [draft.key for draft in drafts]

    def deliver(self) -> None:
        """Sells what was asked for, after `stop`, until that is committed."""
        while self._wishes:
            self._sell(self._wishes[0], keep=True, linger=0)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._turn()
        except BaseException as error:
            self.error = error
            raise

    def _turn(self) -> None:
        random = self._random
        if self._wishes:
            self._sell(self._wishes[0], keep=True, linger=0)
        with self._lock:
            drafts = self._book.batch(self._earlier)
        linger = random.uniform(0.1, 1.0) if random.random() < 0.03 else 0.0
        self._sell(drafts, keep=random.random() > 0.12, linger=linger)
        pause = (
            random.uniform(0.5, 1.5)
            if random.random() < 0.03
            else random.expovariate(1 / self._gap)
        )
        self._stopping.wait(pause)

    def _sell(self, drafts: list[Draft], *, keep: bool, linger: float) -> None:
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
