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
    brief: Operation[T] | None = None
    """The same in fewer words, for a store that has a shorter statement for it."""

    def __repr__(self) -> str:
        """Without its parameters: a log should not know them."""
        return f"Operation(name={self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name)]


class Together(msgspec.Struct, Generic[T], frozen=True):
    """Operations of which none needs another's answer; sent back are the answers of all.

    A store may begin with the first while the second is being described.
    """

    operations: Iterable[Operation[T]]


Plan: TypeAlias = Generator[Operation[Any] | Together[Any], Any, T]


def nothing(answers: Answers) -> None:
    return None
