"""Who competes: one file each. What a contender cannot do it raises Unsupported for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol, TypeAlias

import psycopg

Connection: TypeAlias = "psycopg.Connection[Any]"


class Unsupported(Exception):
    """This contender has no such thing."""


class Span(NamedTuple):
    """When a burst's first job was claimed and its last one done, in seconds since the epoch."""

    began: float
    ended: float


class Contender(Protocol):
    """A queue to be measured. Connections are in autocommit; a job's argument is *sent*."""

    name: str

    def install(self, url: str) -> None:
        """Makes what it needs in an empty database."""
        ...

    def worker(self, url: str, *, concurrency: int) -> list[str]:
        """The command of a worker: it prints ``ready``, works until SIGTERM, then prints a report.

        That is a JSON object with *picked*: seconds from each *sent* to its task's first line.
        """
        ...

    def enqueue(self, connection: Connection, sent: float) -> None:
        """One job, in the transaction that is open on *connection*, or in one of its own."""
        ...

    def fill(self, connection: Connection, count: int, priorities: int = 1) -> int:
        """Many jobs in one transaction; answers a mark for `span`."""
        ...

    def span(self, connection: Connection, mark: int, count: int) -> Span | None:
        """None while the *count* jobs after *mark* are not all done. Cheap: it is asked often."""
        ...


def contenders() -> Mapping[str, Contender]:
    """All there are, by name."""
    from benchmarks.contenders.pgqueue import Pgqueue
    from benchmarks.contenders.raw import Raw

    loops = ("uvloop", "asyncio") if find_spec("uvloop") else ("asyncio",)
    first, *others = loops
    all: list[Contender] = [Raw("raw"), Raw("raw+notify", notify=True), Pgqueue("pgqueue", first)]
    all += [Pgqueue(f"pgqueue/{loop}", loop) for loop in others]
    return {contender.name: contender for contender in all}
