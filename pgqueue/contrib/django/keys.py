"""The arguments of a call of Django's task by name: for keys made of them, and for tests."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

from pgqueue.errors import InvalidArguments
from pgqueue.tasks.arguments import ArgumentsCodec


def by_name(task: Any, args: list[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by name, defaults included.

    Raises InvalidArguments for arguments that the task does not take.
    """
    signature = inspect.signature(task.func)
    parameters = list(signature.parameters.values())[1 if task.takes_context else 0 :]
    try:
        bound = signature.replace(parameters=parameters).bind(*args, **kwargs)
    except TypeError as error:
        path = task.module_path
        raise InvalidArguments(f"{path}: {error}", task=path, parameter=None) from error
    bound.apply_defaults()
    found = dict(bound.arguments)
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            found |= found.pop(parameter.name)
    return found


def named(task: Any, args: list[Any], kwargs: Mapping[str, Any]) -> ArgumentsCodec:
    """Return what `unique_key` asks for the arguments."""
    return cast(ArgumentsCodec, _Named(by_name(task, args, kwargs)))


class _Named:
    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments

    def read_named(self, text: str) -> dict[str, Any]:
        return self._arguments
