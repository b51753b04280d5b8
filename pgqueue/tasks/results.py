"""A task's result to JSON text and back."""

from __future__ import annotations

from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from pgqueue.errors import InvalidResult, ResultNotSerialisable, ResultTooLarge
from pgqueue.jobs import jsontext
from pgqueue.jobs.outcomes import OUTCOMES

MAX_BYTES: Final = 256 * 1024


def write(task: str, result: Any) -> str | None:
    """Return *result* as JSON text; None is no text at all.

    Raises ResultNotSerialisable or ResultTooLarge, which fail the attempt.
    """
    if result is None:
        return None
    try:
        return jsontext.write(result, MAX_BYTES)
    except jsontext.TooLarge as error:
        raise ResultTooLarge(f"{task}: its result: {error}") from None
    except (TypeError, ValueError) as error:
        raise ResultNotSerialisable(f"{task}: its result: {error}") from error


class ResultReader:
    """Reads the results of the task *task*; *annotation*: its function's return type."""

    def __init__(self, task: str, annotation: Any) -> None:
        self._task = task
        try:
            self._decoder = jsontext.reader(without_outcomes(annotation))
        except TypeError as error:
            raise InvalidResult(f"{task}: its return annotation cannot be read: {error}") from error

    def read(self, text: str | bytes | None) -> Any:
        """Return the result in *text*; None for no text."""
        if text is None:
            return None
        try:
            return self._decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidResult(f"{self._task}: its result: {error}") from error


def without_outcomes(annotation: Any) -> Any:
    """Return *annotation* without the outcomes of a union, which are never kept as results."""
    if get_origin(annotation) not in (Union, UnionType):
        return NoneType if annotation in OUTCOMES else annotation
    kept = [kind for kind in get_args(annotation) if kind not in OUTCOMES]
    return reduce(or_, kept) if kept else NoneType
