"""Write a verb's parameters as text; instants that stores keep as numbers, both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import msgspec

from pgqueue.jobs.job import FINISHED, State
from pgqueue.operations.operation import Param

EVERYTHING = frozenset(FINISHED)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Later(Mapping[str, Param]):
    """Parameters that are written when a store asks: most take the operation's shortcut instead."""

    def __init__(self, write: Callable[[], Mapping[str, Param]]) -> None:
        self._write = write

    @cached_property
    def _written(self) -> Mapping[str, Param]:
        return self._write()

    def __getitem__(self, name: str) -> Param:
        return self._written[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._written)

    def __len__(self) -> int:
        return len(self._written)


def as_json(value: Any) -> str:
    """Return *value*, often many rows, as one JSON document."""
    return msgspec.json.encode(value).decode()


def raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())


def boolean(value: bool) -> str:
    return "true" if value else "false"


def number(value: int | None) -> str | None:
    return None if value is None else str(value)


def instant(now: datetime | None) -> str | None:
    return None if now is None else now.isoformat()


def microseconds(at: datetime) -> int:
    """Return *at* in microseconds since the epoch."""
    return (at - EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """Return the instant *count* microseconds after the epoch."""
    return EPOCH + count * _MICROSECOND


def of_ending(keep: frozenset[State], now: datetime | None) -> dict[str, Param]:
    return {"keep": as_json(sorted(keep)), "now": instant(now)}
