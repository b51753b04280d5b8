"""What is done to a campaign while messages flow: each act leaves all running."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.bridges.rabbit import Rabbit
from tests.bridges.stands import Process, Store

REST_SECONDS = 0.3
"""Between two acts, where they are few; at length they are spread over the campaign."""
LONG_REST_SECONDS = 4.0
ALARM_SECONDS = 7.0
"""Longer than the outlet waits for confirms."""
OUT = {
    "worker": 20,
    "broker": 5,
    "store": 3,
    "connections": 3,
    "alarm": 2,
    "frozen broker": 1,
    "frozen worker": 1,
    "queue": 2,
}
"""How often each act is played in the outlet's campaign at full length."""
IN = {name: number for name, number in OUT.items() if name not in ("alarm", "queue")}
"""The same of the inlet's: an alarm stops publishers alone, a queue takes its messages along."""


def dealt(weights: dict[str, int], number: int | None) -> list[str]:
    """The acts in an order by chance: all of them, or *number*, drawn by their weights."""
    if number is None:
        acts = [name for name, times in weights.items() for _ in range(times)]
        random.shuffle(acts)
        return acts
    return random.choices([*weights], [*weights.values()], k=number)


@dataclass
class Acts:
    """Plays acts by their names. *freeze*: for how many seconds a frozen one is.

    *empty* makes sure that nothing is left in the broker's queue, removes it, and returns what
    makes it anew.
    """

    rabbit: Rabbit
    store: Store
    running: Sequence[Process]
    freeze: float = 1.0
    alarm: float = 1.0
    rest: float = REST_SECONDS
    empty: Callable[[], Callable[[], None]] | None = None
    played: list[str] = field(default_factory=list)

    def play(self, names: Sequence[str], tell: Callable[[str], None]) -> None:
        acts: dict[str, Callable[[], None]] = {
            "worker": self._worker,
            "broker": self._broker,
            "store": self._store,
            "connections": self._connections,
            "alarm": self._alarm,
            "frozen broker": self._frozen_broker,
            "frozen worker": self._frozen_worker,
            "queue": self._queue,
        }
        for name in names:
            began = time.monotonic()
            acts[name]()
            self.played.append(name)
            tell(f"{name}: {time.monotonic() - began:.1f} s")
            time.sleep(random.uniform(0.5, 1.5) * self.rest)

    def _worker(self) -> None:
        victim = random.choice(self.running)
        victim.kill()
        victim.start()

    def _broker(self) -> None:
        self.rabbit.kill()
        self.rabbit.start()

    def _store(self) -> None:
        if self.store.crash is not None:
            self.store.crash()

    def _connections(self) -> None:
        self.rabbit.control("close_all_connections", "campaign")

    def _alarm(self) -> None:
        self.rabbit.control("set_vm_memory_high_watermark", "0.00001")
        time.sleep(self.alarm)
        self.rabbit.control("set_vm_memory_high_watermark", "0.4")

    def _frozen_broker(self) -> None:
        self.rabbit.freeze()
        time.sleep(self.freeze)
        self.rabbit.thaw()

    def _frozen_worker(self) -> None:
        victim = random.choice(self.running)
        victim.freeze()
        time.sleep(self.freeze)
        victim.thaw()

    def _queue(self) -> None:
        """The queue is removed while nothing is in it or on the way to it: what a broker has
        confirmed and then removes with its queue is lost by nobody's fault."""
        assert self.empty is not None
        for worker in self.running:
            worker.freeze()
        try:
            make = self.empty()
        finally:
            for worker in self.running:
                worker.thaw()
        time.sleep(1)  # what is published now finds no queue
        make()
