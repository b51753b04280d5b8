"""Which database a store remembers being, and where it finds itself."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from pgqueue.operations.operation import Operation, nothing
from pgqueue.operations.params import boolean, instant, number


class Whereabouts(msgspec.Struct, frozen=True):
    """*noted* is what the store remembers of its *place*, None before its first worker.

    A place is what tells a copy from its original: `system` and `database` on PostgreSQL, `file` on
    SQLite, nothing on Redis. What could not be asked is not in it. *beats*: how often who asks has
    said that it lives, None for a worker that the store does not know. *server*: another text after
    each start of the server, None where there is none.
    """

    store_id: str
    noted: dict[str, str] | None
    environment: str | None
    place: dict[str, str]
    beats: int | None = None
    server: str | None = None

    @property
    def moved(self) -> list[str]:
        """What of its place is not as it was noted."""
        noted = self.noted or {}
        return sorted(k for k in noted.keys() & self.place.keys() if noted[k] != self.place[k])

    def lacks(self, environment: str | None) -> bool:
        """Is there anything to note?"""
        return (
            self.noted is None
            or bool(self.place.keys() - self.noted.keys())
            or (self.environment is None and environment is not None)
        )


class Adopted(NamedTuple):
    """What the store is called from now on, and the queues that were paused."""

    store_id: str
    paused: list[str]


def whereabouts(worker: int | None = None) -> Operation[Whereabouts]:
    """What the store remembers, of *worker* too, and where it is."""
    return Operation(
        "whereabouts",
        {"worker": number(worker)},
        lambda a: msgspec.json.decode(a[-1][0][0], type=Whereabouts),
    )


def remember(environment: str | None = None) -> Operation[None]:
    """The store notes where it is and whose it is, as far as it has not done so before."""
    return Operation("remember", {"environment": environment}, nothing)


def adopt(
    environment: str | None = None, *, paused: bool = False, now: datetime | None = None
) -> Operation[Adopted]:
    """The store is at home where it is now, and another one than what it was copied from.

    *paused*: none of its queues hands out jobs, at no moment in between either.
    """
    params = {"environment": environment, "paused": boolean(paused), "now": instant(now)}
    return Operation(
        "adopt", params, lambda a: Adopted(str(a[-1][0][0]), [name for (name,) in a[-2]])
    )
