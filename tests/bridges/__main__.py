"""The campaigns at length: ``python -m tests.bridges [out|in|outage|poison …]``. Exits with 1 on a
complaint. ``--short`` is what CI plays."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bridges import acts, campaign, campaign_in, rabbit
from tests.bridges.outage import outage
from tests.bridges.rabbit import Rabbit
from tests.bridges.stands import STORES, Place, Store, store

SHORT_OUT = [
    "worker",
    "connections",
    "frozen worker",
    "broker",
    "alarm",
    "store",
    "worker",
    "queue",
]
SHORT_IN = ["worker", "store", "frozen broker", "worker"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["out"], help="out, in, outage, poison")
    parser.add_argument("--short", action="store_true", help="each in miniature")
    parser.add_argument("--count", type=int, help="transactions, or messages")
    parser.add_argument("--faults", type=int, help="how many, drawn by chance")
    parser.add_argument("--pace", type=float, help="seconds between two transactions")
    parser.add_argument("--freeze", type=float, help="how long a frozen one is frozen")
    parser.add_argument("--store", action="append", choices=STORES, help="may be repeated")
    parser.add_argument("--queue", action="append", choices=["classic", "quorum"])
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Program:
    """What was asked for, on one broker."""

    def __init__(self, given: argparse.Namespace, broker: Rabbit) -> None:
        self._given, self._broker = given, broker
        self._short: bool = given.short
        self._queues: list[str] = given.queue or (
            ["classic"] if given.short else ["classic", "quorum"]
        )

    def out(self) -> Iterator[str]:
        for kind in self._queues:
            with self._on("out", "postgres", kind) as (place, where, folder, tell):
                yield from campaign.outlet(
                    *(place, where, folder),
                    count=self._count(40_000, 1_200),
                    rounds=self._rounds(acts.OUT, SHORT_OUT),
                    pace=self._pace(0.008),
                    freeze=self._freeze(60),
                    alarm=1.0 if self._short else acts.ALARM_SECONDS,
                    rest=self._rest,
                    tell=tell,
                )

    def in_(self) -> Iterator[str]:
        for kind in self._queues:
            for name in self._given.store or STORES:
                with self._on("in", name, kind) as (place, where, folder, tell):
                    yield from campaign_in.inlet(
                        *(place, where, folder),
                        count=self._count(20_000, 400),
                        rounds=self._rounds(
                            acts.IN,
                            [*SHORT_IN, "connections"] if name == "postgres" else SHORT_IN,
                        ),
                        pace=self._pace(0.004),
                        freeze=self._freeze(60),
                        rest=self._rest,
                        tell=tell,
                    )

    def outage(self) -> Iterator[str]:
        with self._on("outage", "postgres", "classic") as (place, where, folder, tell):
            count, seconds = self._count(10_000, 500), 25.0 if self._short else 60.0
            yield from outage(place, where, folder, count=count, seconds=seconds, tell=tell)

    def poison(self) -> Iterator[str]:
        for name in self._given.store or ["postgres"]:
            with self._on("poison", name, "classic") as (place, where, folder, tell):
                count = self._count(10_000, 500)
                yield from campaign_in.poison(place, where, folder, count=count, tell=tell)

    def _count(self, full: int, short: int) -> int:
        return self._given.count or (short if self._short else full)

    def _pace(self, full: float) -> float:
        return full if self._given.pace is None else float(self._given.pace)

    def _freeze(self, full: float) -> float:
        return self._given.freeze or (1.0 if self._short else full)

    @property
    def _rest(self) -> float:
        return acts.REST_SECONDS if self._short else acts.LONG_REST_SECONDS

    def _rounds(self, weights: dict[str, int], short: list[str]) -> list[str]:
        number = self._given.faults
        return short if self._short and number is None else acts.dealt(weights, number)

    @contextmanager
    def _on(
        self, what: str, name: str, kind: str
    ) -> Iterator[tuple[Place, Store, Path, Callable[[str], None]]]:
        began = time.monotonic()
        title = f"{what}, {name}, {kind} queue"

        def tell(text: str) -> None:
            print(f"{title}: {time.monotonic() - began:4.0f} s: {text}", flush=True)

        place = Place(self._broker, f"campaign-{what}-{name}-{kind}-{os.getpid()}", kind)
        with tempfile.TemporaryDirectory() as folder, store(name, Path(folder)) as where:
            yield place, where, Path(folder), tell
            tell("ended")


def main() -> int:
    """Play them; what went wrong is printed."""
    given = _arguments()
    random.seed(given.seed)
    complaints: list[str] = []
    with rabbit.server() as broker:
        program = Program(given, broker)
        plays = {
            "out": program.out,
            "in": program.in_,
            "outage": program.outage,
            "poison": program.poison,
        }
        for what in given.what:
            for complaint in plays[what]():
                print(f"{what}: WRONG: {complaint}", flush=True)
                complaints.append(complaint)
    print(f"{', '.join(given.what)}: {f'{len(complaints)} complaints' if complaints else 'well'}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
