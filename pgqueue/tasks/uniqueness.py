"""The keys a task gives its jobs: unique keys, and keys that group jobs of a queue.

`unique=True`: one unfinished job for the same arguments, defaults included.
`unique="order-{order_id}"`: the text, with the arguments' values in it. `unique=lambda order_id,
**_: ...`: a function of the arguments, all of them and by name, that returns the key, or None for a
job that is not unique.

`unique=Unique("order_id", until=3600)` names the arguments that count, and says how long the key
holds and what a duplicate does.

Unique keys begin with the task's name, so that tasks do not collide; `.options(unique=...)` gives a
whole key, which tasks may share.

`key="{tenant_id}"` is a template or such a function, too, but without the task's name: jobs of
several tasks with the same key in a queue belong together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import NoReturn, TypeAlias, TypeGuard

from pgqueue.errors import InvalidArguments, InvalidTask
from pgqueue.jobs import jsontext
from pgqueue.jobs.unique import Merge, Unique
from pgqueue.tasks.arguments import ArgumentsCodec

Uniqueness: TypeAlias = bool | str | Unique | Callable[..., str | None]
Key: TypeAlias = str | Callable[..., str | None]


def unique_key(task: str, unique: Uniqueness, codec: ArgumentsCodec, text: str) -> str | None:
    """Return the key for a job of *task* whose arguments are *text*.

    Raises InvalidArguments when the key cannot be made of them.
    """
    names: tuple[str, ...] = ()
    if isinstance(unique, Unique):
        names, unique = unique.arguments, unique.key or True
    if unique is False or unique == "":
        return None
    if unique is True:
        given = codec.read_named(text)
        try:
            canonical = jsontext.write_sorted({name: given[name] for name in names or given})
        except KeyError as error:
            _refuse(task, f"there is no argument {error}", error)
        except (TypeError, ValueError) as error:
            _refuse(task, f"a default cannot be written as JSON: {error}", error)
        return f"{task}:{hashlib.sha256(canonical).hexdigest()}"
    key = _filled_in(task, "unique", unique, codec, text)
    return None if key is None else f"{task}:{key}"


def rule(task: str, unique: object) -> Unique | None:
    """Return what *unique* says beyond the key, None for the default.

    Raises InvalidTask for what cannot say what is unique.
    """
    if isinstance(unique, Unique):
        return None if unique.is_default and not unique.queue else unique
    if not isinstance(unique, (bool, str)) and not callable(unique):
        raise InvalidTask(f"{task}: unique: give True, a template, a function or Unique(...)")
    return None


def check_names(task: str, unique: Uniqueness, names: Collection[str] | None) -> None:
    """Raise InvalidTask when *unique* names an argument that is not among *names*.

    *names* None: the function takes any name.
    """
    if names is None or not isinstance(unique, Unique):
        return
    merged = unique.conflict.arguments if isinstance(unique.conflict, Merge) else ()
    for name in (*unique.arguments, *merged):
        if name not in names:
            raise InvalidTask(f"{task}: unique: it has no argument {name!r:.80}")


def is_constant(key: object) -> TypeGuard[str]:
    """Is *key* the same whatever the arguments are?"""
    return isinstance(key, str) and "{" not in key and "}" not in key


def own_key(task: str, key: Key, codec: ArgumentsCodec, text: str) -> str | None:
    """Return the key for a job of *task* whose arguments are *text*.

    Raises InvalidArguments when the key cannot be made of them.
    """
    return _filled_in(task, "key", key, codec, text)


def _filled_in(task: str, parameter: str, key: Key, codec: ArgumentsCodec, text: str) -> str | None:
    if not isinstance(key, str):
        return key(**codec.read_named(text))
    try:
        return key.format_map(codec.read_named(text))
    except (LookupError, AttributeError, ValueError) as error:
        _refuse(task, f"{key!r} cannot be filled in: {error!r}", error, parameter)


def _refuse(task: str, problem: str, error: Exception, parameter: str = "unique") -> NoReturn:
    raise InvalidArguments(
        f"{task}: {parameter}: {problem}", task=task, parameter=parameter
    ) from error
