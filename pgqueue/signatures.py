"""What a task's function takes, read from its signature.

Annotations are resolved at the first use and not at the decorator, so that a task may name types
that its module defines further down.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, get_type_hints

from pgqueue.context import Context
from pgqueue.errors import InvalidTask
from pgqueue.parents import Wanted, wanted

_Parameter = inspect.Parameter


class Signature:
    """The parameters of *fn*, the function of the task *task*, without its context."""

    def __init__(self, task: str, fn: Callable[..., Any]) -> None:
        self._task = task
        self._fn = fn
        signature = _signature(task, fn)
        self._all = tuple(signature.parameters.values())
        self._returns = signature.return_annotation
        for parameter in self._all:
            if parameter.kind is _Parameter.VAR_POSITIONAL:
                raise InvalidTask(
                    f"{task}: *{parameter.name}: a job's arguments are kept by name; "
                    f"take one list, {parameter.name}: list[...]"
                )

    @cached_property
    def wants_context(self) -> bool:
        """Whether the first parameter is annotated `Context`."""
        for parameter in self._all[1:]:
            if self._is_context(parameter):
                raise InvalidTask(
                    f"{self._task}: {parameter.name}: the Context must be the first parameter"
                )
        return bool(self._all) and self._is_context(self._all[0])

    @cached_property
    def parameters(self) -> tuple[inspect.Parameter, ...]:
        """The parameters a job gives, with their annotations resolved; one without is Any."""
        ours = {want.name for want in self.wanted}
        return tuple(p for p in self._resolved if p.name not in ours)

    @cached_property
    def wanted(self) -> tuple[Wanted, ...]:
        """The parameters that are results of parents."""
        found = tuple(filter(None, (wanted(self._task, p) for p in self._resolved)))
        if found:
            for parameter in self._resolved:
                if parameter.kind is parameter.POSITIONAL_ONLY:
                    raise InvalidTask(
                        f"{self._task}: {parameter.name}: beside results of parents all arguments "
                        "are given by name; take away the /"
                    )
        return found

    @cached_property
    def _resolved(self) -> tuple[inspect.Parameter, ...]:
        given = self._all[1:] if self.wants_context else self._all
        return tuple(p.replace(annotation=self._annotation(p)) for p in given)

    @cached_property
    def returns(self) -> Any:
        """What the function returns, Any when it does not say."""
        if self._returns is _Parameter.empty:
            return Any
        try:
            return self._resolve("return", self._returns)
        except Exception as error:
            raise self._unresolved("return", error) from error

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise TypeError, in Python's words, when the arguments do not fit."""
        inspect.Signature(self.parameters).bind(*args, **kwargs)

    def __str__(self) -> str:
        return str(inspect.Signature(self.parameters))

    def _annotation(self, parameter: inspect.Parameter) -> Any:
        if parameter.annotation is _Parameter.empty:
            return Any
        try:
            return self._resolve(parameter.name, parameter.annotation)
        except Exception as error:
            raise self._unresolved(parameter.name, error) from error

    def _resolve(self, name: str, annotation: Any) -> Any:
        # A class and not the function itself, so that one bad annotation does not spoil the others.
        holder = type("annotated", (), {"__annotations__": {name: annotation}})
        return get_type_hints(holder, self._names, self._names, include_extras=True)[name]

    @property
    def _names(self) -> dict[str, Any]:
        fn = _unwrapped(self._fn)
        type_params = {p.__name__: p for p in getattr(fn, "__type_params__", ())}
        return getattr(fn, "__globals__", {}) | _enclosing(fn) | type_params

    def _is_context(self, parameter: inspect.Parameter) -> bool:
        annotation = parameter.annotation
        if annotation is _Parameter.empty:
            return False
        try:
            annotation = self._resolve(parameter.name, annotation)
        except Exception:
            # Imported for type checkers only, or not yet: then its name has to do.
            written = str(getattr(annotation, "__forward_arg__", annotation))
            return written.strip("'\" ").rpartition(".")[2] == Context.__name__
        return isinstance(annotation, type) and issubclass(annotation, Context)

    def _unresolved(self, what: str, error: Exception) -> InvalidTask:
        return InvalidTask(
            f"{self._task}: {what}: its annotation cannot be resolved ({error}); the type must be "
            "importable when the task runs, not only under TYPE_CHECKING or inside a function"
        )


def _signature(task: str, fn: Callable[..., Any]) -> inspect.Signature:
    try:
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            return inspect.signature(fn, annotation_format=Format.FORWARDREF)
        return inspect.signature(fn)
    except (TypeError, ValueError) as error:
        raise InvalidTask(f"{task}: its signature cannot be read: {error}") from error


def _unwrapped(fn: Callable[..., Any]) -> Any:
    while isinstance(fn, partial):
        fn = fn.func
    fn = inspect.unwrap(fn)
    return fn if inspect.isroutine(fn) else type(fn).__call__


def _enclosing(fn: Any) -> dict[str, Any]:
    """The variables of enclosing functions that *fn* uses."""
    cells = zip(
        getattr(getattr(fn, "__code__", None), "co_freevars", ()),
        getattr(fn, "__closure__", None) or (),
        strict=True,
    )
    found = {}
    for name, cell in cells:
        with suppress(ValueError):  # not assigned yet
            found[name] = cell.cell_contents
    return found
