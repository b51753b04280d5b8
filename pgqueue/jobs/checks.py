"""What a value must be before it may go into a job.

Each check returns the value in the form that is kept, or raises `InvalidJob` with the task, the
parameter and the cure. `pgqueue.enqueue(...)` in SQL makes the same checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, NoReturn

from pgqueue.errors import InvalidJob, JobTooLarge
from pgqueue.jobs import jsontext

MAX_ARGS_BYTES: Final = 1024 * 1024
MAX_METADATA_BYTES: Final = 64 * 1024
# Arguments that a codec wrote in fewer characters cannot contain an integer that a store refuses.
SUSPECT_CHARS: Final = 300
MAX_UNIQUE_CHARS: Final = 512
MAX_KEY_CHARS: Final = 128
MAX_TAGS: Final = 64
MAX_DURATION: Final = timedelta(days=36525)
SMALLEST, LARGEST = -(2**15), 2**15 - 1

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}", re.ASCII)


def refuse(task: str, parameter: str, problem: str) -> NoReturn:
    """Raise InvalidJob, which names *task*, *parameter* and *problem*."""
    raise InvalidJob(f"{task}: {parameter}: {problem}", task=task, parameter=parameter)


def name(task: str, parameter: str, value: object) -> str:
    """Return *value*, a name of 1 to 128 letters, digits and `_ . : / -`."""
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        refuse(
            task,
            parameter,
            f"{shown(value)} is no name; a name has 1 to 128 letters, digits or _ . : / - "
            "and begins with a letter, a digit or _",
        )
    return value


def integer(task: str, parameter: str, value: object, low: int, high: int) -> int:
    """Return *value*, an int from *low* to *high*; a bool is refused."""
    if type(value) is not int:
        refuse(task, parameter, f"{shown(value)} is not an int; give one from {low} to {high}")
    if not low <= value <= high:
        refuse(task, parameter, f"{shown(value)} is out of range; give an int from {low} to {high}")
    return value


def instant(task: str, parameter: str, value: object) -> datetime:
    """Return *value*, a datetime with a time zone."""
    if not isinstance(value, datetime):
        refuse(task, parameter, f"{shown(value)} is not a datetime")
    if value.utcoffset() is None:
        refuse(
            task,
            parameter,
            f"{shown(value)} has no time zone; use datetime.now(timezone.utc) or set tzinfo",
        )
    if not 1 < value.year < 9999:
        refuse(task, parameter, f"the year {value.year} is out of range; give one from 2 to 9998")
    return value


def to_duration(value: object) -> timedelta:
    """Return *value*, a timedelta or a number of seconds, from 0 to a hundred years.

    Raises ValueError or TypeError, not InvalidJob, as not only jobs use it.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            value = timedelta(seconds=value)
        except (OverflowError, ValueError):
            raise ValueError(f"{value} s cannot be waited; give a finite number") from None
    if not isinstance(value, timedelta):
        raise TypeError(f"{shown(value)} is neither a timedelta nor a number of seconds")
    if value < timedelta(0):
        raise ValueError(f"{value.total_seconds()} s is negative; give 0 or more")
    if value > MAX_DURATION:
        raise ValueError(f"{value.days} days are too long; give a hundred years at most")
    return value


def expiry(task: str, value: object, run_at: datetime | None) -> datetime | timedelta:
    """Return *value*, an instant, or a duration from when the job is due."""
    if not isinstance(value, datetime):
        return positive_duration(task, "expires", value)
    instant(task, "expires", value)
    if run_at is not None and value < run_at:
        refuse(task, "expires", f"{value} is before run_at, {run_at}: it could never begin")
    return value


def duration(task: str, parameter: str, value: object) -> timedelta:
    try:
        return to_duration(value)
    except (TypeError, ValueError) as error:
        refuse(task, parameter, str(error))


def positive_duration(task: str, parameter: str, value: object) -> timedelta:
    checked = duration(task, parameter, value)
    if not checked:
        refuse(task, parameter, "0 s leaves no time; give more than 0, or None for no limit")
    return checked


def key(task: str, parameter: str, value: object, limit: int) -> str:
    """Return *value*, a text of 1 to *limit* characters that every store can keep."""
    if not isinstance(value, str):
        refuse(task, parameter, f"{shown(value)} is not a str")
    if not 0 < len(value) <= limit:
        refuse(
            task,
            parameter,
            f"a key of {len(value)} characters; give 1 to {limit}, or a hash of the rest",
        )
    if "\0" in value:
        refuse(task, parameter, "NUL (\\x00) cannot be stored; remove it")
    with json_errors(task, parameter):
        jsontext.size(value)
    return value


def tags(task: str, parameter: str, value: object) -> tuple[str, ...]:
    """Return the names in *value*, each once."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        refuse(task, parameter, f"{shown(value)} is not a collection of names; give a list")
    checked = tuple(dict.fromkeys(name(task, parameter, tag) for tag in value))
    if len(checked) > MAX_TAGS:
        refuse(task, parameter, f"{len(checked)} tags; give {MAX_TAGS} at most")
    return checked


def json_object(task: str, parameter: str, value: object, limit: int) -> str:
    """Return *value*, the text of a JSON object that every store can keep."""
    if not isinstance(value, str):
        refuse(task, parameter, f"{shown(value)} is not the text of a JSON object")
    try:
        jsontext.require_object(value, limit)
    except (TypeError, ValueError) as error:  # json_errors would add a tenth to a job's cost
        _refuse_json(task, parameter, error)
    return value


@contextmanager
def json_errors(task: str, parameter: str) -> Iterator[None]:
    """Turn errors of `jsontext` inside into an InvalidJob about *task* and *parameter*."""
    try:
        yield
    except (TypeError, ValueError) as error:
        _refuse_json(task, parameter, error)


def _refuse_json(task: str, parameter: str, error: Exception) -> NoReturn:
    if isinstance(error, jsontext.TooLarge):
        raise JobTooLarge(f"{task}: {parameter}: {error}", task=task, parameter=parameter) from None
    refuse(task, parameter, str(error))


def shown(value: object) -> str:
    """Return the beginning of *value*'s repr, for a message; never raises."""
    try:
        text = repr(value)
    except Exception:  # of an int of thousands of digits, or in the object's own __repr__
        text = f"this {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
