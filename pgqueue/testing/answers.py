"""Pick things of a history, and show how two answers differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from pgqueue.errors import InvalidJob, LeaseLost
from pgqueue.operations import CompletedLeases

T = TypeVar("T")


def pick(things: Sequence[T], number: int) -> T:
    """Return one of *things*, counted from the newest, round and round."""
    return things[-1 - number % len(things)]


def some(things: Sequence[T], numbers: Sequence[int]) -> list[T]:
    """Return several of *things*; none if there are none."""
    places = {number % len(things): None for number in numbers if things}
    return [things[-1 - place] for place in places]


def answer_of(verb: Callable[..., Any], *args: Any, **options: Any) -> Any:
    try:
        answer = verb(*args, **options)
    except (LeaseLost, InvalidJob) as error:
        return type(error).__name__
    return (dict(answer), answer.freed) if isinstance(answer, CompletedLeases) else answer


def difference(store: str, verb: str, answer: Any, expected: Any) -> str:
    """Return what is different, and only the first part of long answers."""
    if isinstance(answer, list) and isinstance(expected, list):
        theirs, ours = ([str(x) for x in xs] for xs in (answer, expected))
        if sorted(theirs) != sorted(ours):
            answer = "\n    ".join(text for text in theirs if text not in ours)
            expected = "\n    ".join(text for text in ours if text not in theirs)
    while isinstance(answer, msgspec.Struct) and type(answer) is type(expected):
        pairs = (
            (name, getattr(answer, name), getattr(expected, name))
            for name in answer.__struct_fields__
        )
        name, answer, expected = next(pair for pair in pairs if pair[1] != pair[2])
        verb = f"{verb}: {name}"
    return f"{verb}\n  {store}: {answer}\n  the model: {expected}"
