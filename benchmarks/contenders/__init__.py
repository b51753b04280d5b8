"""Who competes: one file each. What a contender cannot do it raises Unsupported for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias

import psycopg

Connection: TypeAlias = "psycopg.Connection[Any]"


class Unsupported(Exception):
    """This contender has no such thing."""


class Span(NamedTuple):
    """When a burst's first job was claimed and its last one done, in seconds since the epoch."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Contender:
    """A queue to be measured. A job's argument is *sent*, an instant in seconds since the epoch."""

    def __init__(self, name: str) -> None:
        self.name = name

    def install(self, url: str) -> None:
        """Makes what it needs in an empty database."""
        raise Unsupported

    def worker(self, url: str, *, concurrency: int) -> list[str]:
        """The command of a worker: it prints ``ready``, works until SIGTERM, then prints a report.

        That is a JSON object with *picked*: seconds from each *sent* to its task's first line.
        """
        raise Unsupported

    def enqueue(self, connection: Connection, sent: float) -> None:
        """One job, in the transaction that is open on *connection*."""
        raise Unsupported

    def fill(self, connection: Connection, count: int, priorities: int = 1) -> int:
        """Many jobs in one transaction, taking turns in their priorities; a mark for `span`."""
        raise Unsupported

    def span(self, connection: Connection, mark: int, count: int) -> Span | None:
        """None while the *count* jobs after *mark* are not all done. Cheap: it is asked often."""
        raise Unsupported

    def occupy(self, connection: Connection, slots: int, seconds: float) -> None:
        """Jobs that do nothing but hold so many of a worker's slots."""
        raise Unsupported

    def schedule(self, connection: Connection, due: Sequence[float]) -> None:
        """Jobs that start at these instants, in one transaction; *sent* is the instant."""
        raise Unsupported

    def done(self, connection: Connection, reports: Sequence[Mapping[str, Any]]) -> list[float]:
        """Seconds from each *sent* until its job's end is durable."""
        raise Unsupported

    def graph(self, connection: Connection, parents: Sequence[Sequence[int]]) -> int:
        """As many jobs as *parents*, each with those before it; a mark for `span`."""
        raise Unsupported

    def hops(self, connection: Connection, mark: int) -> list[float]:
        """Seconds from the end of the last parent until its child was claimed, of all children."""
        raise Unsupported


def contenders() -> Mapping[str, Contender]:
    """All there are, by name."""
    from benchmarks.contenders.pgqueue import Pgqueue
    from benchmarks.contenders.raw import Raw

    first, *others = ("uvloop", "asyncio") if find_spec("uvloop") else ("asyncio",)
    found: list[Contender] = [Raw("raw"), Raw("raw+notify", notify=True), Pgqueue("pgqueue", first)]
    found += [Pgqueue(f"pgqueue/{loop}", loop) for loop in others]
    return {contender.name: contender for contender in found}
