"""The unique keys a task gives its jobs.

`unique=True`: one unfinished job for the same arguments; given or by default is the same.
`unique="order-{order_id}"`: the text, with the arguments' values in it. `unique=lambda order_id,
**_: ...`: a function of the arguments, all of them and by name, that returns the key, or None for a
job that is not unique.

Keys begin with the task's name, so that tasks do not get in one another's way;
`.options(unique=...)` gives a whole key, which may be shared between tasks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NoReturn, TypeAlias

from pgqueue import jsontext
from pgqueue.codec import ArgumentsCodec
from pgqueue.errors import InvalidArguments

Unique: TypeAlias = bool | str | Callable[..., str | None]


def unique_key(task: str, unique: Unique, codec: ArgumentsCodec, text: str) -> str | None:
    """Return the key for a job of *task* whose arguments are *text*.

    Raises InvalidArguments when the key cannot be made of them.
    """
    if not unique:
        return None
    if unique is True:
        try:
            canonical = jsontext.write_sorted(codec.read_named(text))
        except (TypeError, ValueError) as error:
            _refuse(task, f"a default cannot be written as JSON: {error}", error)
        return f"{task}:{hashlib.sha256(canonical).hexdigest()}"
    if isinstance(unique, str):
        try:
            return f"{task}:{unique.format_map(codec.read_named(text))}"
        except (LookupError, AttributeError, ValueError) as error:
            _refuse(task, f"{unique!r} cannot be filled in: {error!r}", error)
    key = unique(**codec.read_named(text))
    return None if key is None else f"{task}:{key}"


def _refuse(task: str, problem: str, error: Exception) -> NoReturn:
    raise InvalidArguments(f"{task}: unique: {problem}", task=task, parameter="unique") from error
