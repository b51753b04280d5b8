"""The nemesis: deals faults, one after the other, and notes which one hit what."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from random import Random
from time import monotonic

from tests.faults.facts import Fault
from tests.faults.kinds import Kind, Missed, Scene

log = logging.getLogger("faults")
TRIES = 5  # until there is something to strike


class Nemesis:
    """Deals a shuffled deck again and again, so that every kind has its turn.

    Conditions (a held snapshot, say) are dealt by a second dealer, and go on while others strike;
    conditions that must always be there have a dealer each.
    """

    def __init__(
        self, scene: Scene, kinds: Sequence[type[Kind]], random: Random, longest_pause: float = 2.0
    ) -> None:
        self._scene = scene
        self._random = random
        self._longest_pause = longest_pause
        hands: dict[tuple[bool, str], list[type[Kind]]] = {}
        for kind in sorted(kinds, key=lambda kind: kind.condition):
            hands.setdefault((kind.condition, kind.name if kind.always else ""), []).append(kind)
        self._hands = list(hands.values())
        self._stopping = threading.Event()
        self._dealt = [threading.Event() for _ in self._hands]
        self._threads: list[threading.Thread] = []
        self.faults: list[Fault] = []
        self.now: dict[int, str] = {}
        self.error: BaseException | None = None

    def start(self) -> None:
        for number, hand in enumerate(self._hands):
            random = Random(self._random.random())
            thread = threading.Thread(target=self._deal, args=(number, hand, random), daemon=True)
            self._threads.append(thread)
            thread.start()

    @property
    def dealt(self) -> bool:
        """Has every kind had its turn?"""
        return all(event.is_set() for event in self._dealt)

    def stop(self) -> None:
        """Returns when all is healed."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(120)
            if thread.is_alive():
                raise RuntimeError(f"the nemesis does not end: {self.now}")
        if self.error is not None:
            raise self.error

    def _deal(self, number: int, hand: list[type[Kind]], random: Random) -> None:
        try:
            while not self._stopping.is_set():
                for kind in random.sample(hand, len(hand)):
                    for _ in range(TRIES):
                        pause = random.uniform(0.3, self._longest_pause)
                        if self._stopping.wait(max(kind.calm, pause)):
                            return
                        if self._play(number, kind, random):
                            break
                self._dealt[number].set()
        except BaseException as error:
            log.exception("the nemesis stumbled")
            self.error = error
            self._dealt[number].set()

    def _play(self, number: int, kind: type[Kind], random: Random) -> bool:
        """Did it strike?"""
        fault = kind(self._scene)
        self.now[number] = kind.name
        struck_at = monotonic()
        try:
            touched = fault.strike()
        except (Missed, *self._scene.site.away) as error:  # somebody else's fault was there first
            log.info("%s did not strike: %s", kind.name, error)
            self.now.pop(number, None)
            return False
        self._stopping.wait(random.uniform(*kind.span()))
        fault.heal()
        self.faults.append(
            Fault(
                *(kind.name, struck_at, monotonic(), touched, kind.measure, kind.robs),
                held=fault.held,
                schedule=fault.schedule,
                forgot_since=fault.forgot_since,
            )
        )
        self.now.pop(number, None)
        return True
