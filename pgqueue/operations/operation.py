"""An operation as a value: what every verb describes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")
Rows: TypeAlias = Sequence[tuple[Any, ...]]
Answers: TypeAlias = Sequence[Rows]
Param: TypeAlias = str | None


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One statement file to run, with its parameters as text, and how to read what it answers."""

    name: str
    params: Mapping[str, Param] = field(repr=False)
    decode: Callable[[Answers], T] = field(repr=False)
    brief: Operation[T] | None = field(default=None, repr=False)
    """The same in fewer words, for a store that has a shorter statement for it."""


@dataclass(frozen=True, slots=True)
class Together(Generic[T]):
    """Operations of which none needs another's answer; sent back are the answers of all.

    A store may begin with the first while the second is being described.
    """

    operations: Iterable[Operation[T]] = field(repr=False)


Plan: TypeAlias = Generator[Operation[Any] | Together[Any], Any, T]


def _nothing(answers: Answers) -> None:
    return None
