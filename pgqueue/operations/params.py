"""What a verb gives to its statement, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from pgqueue.jobs import FINISHED, State
from pgqueue.operations.operation import Param

EVERYTHING = frozenset(FINISHED)


class Later(Mapping[str, Param]):
    """Parameters that are written when a store asks for them: most take the brief operation."""

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
    """A parameter that carries many rows, as one JSON document."""
    return msgspec.json.encode(value).decode()


def raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())


def boolean(value: bool) -> str:
    return "true" if value else "false"


def instant(now: datetime | None) -> str | None:
    return None if now is None else now.isoformat()


def of_ending(keep: frozenset[State], now: datetime | None) -> dict[str, Param]:
    return {"keep": as_json(sorted(keep)), "now": instant(now)}
