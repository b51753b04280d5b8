"""A task's parameters, read from its function's signature.

Annotations are resolved at the first use and not at the decorator, so that a task may name types
that its module defines further down.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from types import UnionType
from typing import (
    Annotated,
    Any,
    Final,
    NewType,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pgqueue.errors import InvalidTask
from pgqueue.tasks.context import Context
from pgqueue.tasks.parents import Wanted, wanted

_Parameter = inspect.Parameter
_NAMED_CONTEXT: Final = re.compile(
    r"(None\s*\|\s*)?([\w.]*\b(Optional|Annotated)\[\s*)*([\w.]+\.)?Context\b"
)


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
        """Whether the first parameter is annotated `Context`, perhaps `| None` or `Annotated`."""
        given = any(
            parameter.kind in (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)
            and _is_context(self._hint(parameter))
            for parameter in self._all[:1]
        )
        for parameter in self._all[1:] if given else self._all:
            if _mentions_context(self._hint(parameter)):
                raise InvalidTask(
                    f"{self._task}: {parameter.name}: the Context must be the first parameter, "
                    "given by position, and nothing but a Context"
                )
        return given

    def names(self) -> list[str] | None:
        """Return all parameters' names, the context's too; None if the function takes any name."""
        if any(p.kind is p.VAR_KEYWORD for p in self._all):
            return None
        return [p.name for p in self._all]

    def required(self) -> list[str]:
        """Return the names of parameters without a default, but for the context.

        No annotation is resolved but that of the first: a type may be defined further down.
        """
        needed = [
            p for p in self._all if p.default is p.empty and p.kind is not _Parameter.VAR_KEYWORD
        ]
        if needed[:1] == [*self._all[:1]] and needed and _is_context(self._hint(needed[0])):
            del needed[0]
        return [p.name for p in needed]

    @cached_property
    def parameters(self) -> tuple[inspect.Parameter, ...]:
        """The parameters for a job's arguments, annotations resolved; one without an annotation is
        Any."""
        ours = {want.name for want in self.wanted}
        return tuple(p for p in self._resolved if p.name not in ours)

    @cached_property
    def wanted(self) -> tuple[Wanted, ...]:
        """The parameters that are results of parents."""
        results = tuple(filter(None, (wanted(self._task, p) for p in self._resolved)))
        if results:
            for parameter in self._resolved:
                if parameter.kind is parameter.POSITIONAL_ONLY:
                    raise InvalidTask(
                        f"{self._task}: {parameter.name}: beside results of parents all arguments "
                        "are given by name; take away the /"
                    )
        return results

    @cached_property
    def _resolved(self) -> tuple[inspect.Parameter, ...]:
        given = self._all[1:] if self.wants_context else self._all
        return tuple(p.replace(annotation=self._annotation(p)) for p in given)

    @cached_property
    def returns(self) -> Any:
        """The function's return type; Any without an annotation."""
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
        # A class, not the function itself, so that one bad annotation does not spoil the others.
        holder = type("annotated", (), {"__annotations__": {name: annotation}})
        return get_type_hints(holder, self._names, self._names, include_extras=True)[name]

    @property
    def _names(self) -> dict[str, Any]:
        fn = _unwrapped(self._fn)
        type_params = {p.__name__: p for p in getattr(fn, "__type_params__", ())}
        return getattr(fn, "__globals__", {}) | _enclosing(fn) | type_params

    def _hint(self, parameter: inspect.Parameter) -> Any:
        """Return the annotation; where it cannot be resolved, Context if it is spelt so, else Any.

        A type may be imported for type checkers only, or be defined further down.
        """
        annotation = parameter.annotation
        if annotation is _Parameter.empty:
            return Any
        try:
            return self._resolve(parameter.name, annotation)
        except Exception:
            written = str(getattr(annotation, "__forward_arg__", annotation))
            return Context if _NAMED_CONTEXT.match(written.strip("'\" ")) else Any

    def _unresolved(self, what: str, error: Exception) -> InvalidTask:
        return InvalidTask(
            f"{self._task}: {what}: its annotation cannot be resolved ({error}); the type must be "
            "importable when the task runs, not only under TYPE_CHECKING or inside a function"
        )


def _is_context(annotation: Any) -> bool:
    """Does *annotation* allow only a Context, and perhaps None?"""
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return bool(kinds) and all(map(_is_context, kinds))
    return isinstance(annotation, type) and issubclass(annotation, Context)


def _mentions_context(annotation: Any) -> bool:
    return _is_context(annotation) or any(map(_mentions_context, get_args(_bare(annotation))))


def _bare(annotation: Any) -> Any:
    """Return the type behind `Annotated`, NewType, a bound type variable or an alias."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, TypeVar) and annotation.__bound__ is not None:
            annotation = annotation.__bound__
        elif type(annotation).__name__ == "TypeAliasType":  # `type Ctx = Context`, from 3.12 on
            annotation = annotation.__value__
        else:
            return annotation


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
    """Return the variables of enclosing functions that *fn* uses, by name."""
    cells = zip(
        getattr(getattr(fn, "__code__", None), "co_freevars", ()),
        getattr(fn, "__closure__", None) or (),
        strict=True,
    )
    variables = {}
    for name, cell in cells:
        with suppress(ValueError):  # not assigned yet
            variables[name] = cell.cell_contents
    return variables
