"""An operation as a value: what every verb describes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")
Rows: TypeAlias = Sequence[tuple[Any, ...]]
Answers: TypeAlias = Sequence[Rows]
Param: TypeAlias = str | None


class Operation(msgspec.Struct, Generic[T], frozen=True):
    """One statement file to run, with its parameters as text, and how to read what it answers."""

    name: str
    params: Mapping[str, Param]
    decode: Callable[[Answers], T]
    shortcut: Operation[T] | None = None
    """The same by a shorter statement, for the stores that have one."""

    def __repr__(self) -> str:
        """Leave the parameters out: a repr may end in a log."""
        return f"Operation(name={self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name)]


class Together(msgspec.Struct, Generic[T], frozen=True):
    """Operations that do not need each other's answers; the plan is sent the answers of all.

    A store may carry out the first while the second is being written.
    """

    operations: Iterable[Operation[T]]


Plan: TypeAlias = Generator[Operation[Any] | Together[Any], Any, T]


def nothing(answers: Answers) -> None:
    return None


def one(operation: Operation[T]) -> Plan[T]:
    """The plan of a single operation."""
    answer: T = yield operation
    return answer
