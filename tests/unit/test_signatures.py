from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, NewType, Optional, TypeVar

import pytest

import pgqueue.tasks.context
from pgqueue.errors import InvalidTask
from pgqueue.tasks.context import Context
from pgqueue.tasks.signatures import Signature

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers

    from pgqueue.tasks.context import Context as Elsewhere


def signature(fn: Callable[..., Any]) -> Signature:
    return Signature("task", fn)


def takes(fn: Callable[..., Any]) -> dict[str, Any]:
    return {parameter.name: parameter.annotation for parameter in signature(fn).parameters}


def test_leaves_the_context_out() -> None:
    def fn(ctx: Context, order: int) -> None: ...

    assert signature(fn).wants_context
    assert takes(fn) == {"order": int}
    assert str(signature(fn)) == "(order: int)"


def test_knows_the_context_in_every_spelling() -> None:
    class Special(Context):
        pass

    def by_module(ctx: pgqueue.tasks.context.Context) -> None: ...
    def quoted(ctx: "Context") -> None: ...  # noqa: UP037
    def special(ctx: Special) -> None: ...

    for fn in (by_module, quoted):
        assert signature(fn).wants_context
    special.__annotations__["ctx"] = Special
    assert signature(special).wants_context


def test_knows_a_context_imported_for_type_checkers_alone() -> None:
    def fn(ctx: Context, order: int) -> None: ...

    fn.__annotations__["ctx"] = "missing.Context"
    assert signature(fn).wants_context
    assert takes(fn) == {"order": int}


def test_takes_no_other_class_for_the_context() -> None:
    def plain(order: int) -> None: ...
    def bare(ctx) -> None: ...  # type: ignore[no-untyped-def]
    def nothing() -> None: ...

    class Context:
        pass

    def own(ctx: Any) -> None: ...

    own.__annotations__["ctx"] = Context
    for fn in (plain, bare, nothing, own):
        assert not signature(fn).wants_context


def test_refuses_a_context_that_is_not_first() -> None:
    def fn(order: int, ctx: Context) -> None: ...

    with pytest.raises(InvalidTask, match="task: ctx: the Context must be the first parameter"):
        _ = signature(fn).parameters


def test_refuses_positional_arguments_without_names() -> None:
    def fn(*orders: int) -> None: ...

    with pytest.raises(InvalidTask, match=r"task: \*orders: a job's arguments are kept by name"):
        signature(fn)


def test_resolves_types_that_are_defined_further_down() -> None:
    assert takes(names_later_types) == {"later": Later, "many": list[Later]}


def test_resolves_the_variables_of_enclosing_functions() -> None:
    class Local:
        pass

    def fn(local: Local) -> Local:
        return Local()

    assert takes(fn) == {"local": Local}
    assert signature(fn).returns is Local


def test_names_the_parameter_it_cannot_resolve() -> None:
    def fn(good: int, bad: OnlyForCheckers) -> Elsewhere: ...  # type: ignore[empty-body]

    with pytest.raises(InvalidTask, match="task: bad: its annotation cannot be resolved"):
        takes(fn)
    with pytest.raises(InvalidTask, match="task: return: its annotation cannot be resolved"):
        _ = signature(fn).returns


def test_a_bad_return_annotation_hinders_no_job() -> None:
    def fn(good: int) -> Elsewhere: ...  # type: ignore[empty-body]

    assert takes(fn) == {"good": int}


def test_without_annotations_everything_may_come() -> None:
    def fn(a, b=1): ...  # type: ignore[no-untyped-def]

    assert takes(fn) == {"a": Any, "b": Any}
    assert signature(fn).returns is Any


def test_reads_partials_wrappers_and_callable_objects() -> None:
    def fn(a: int, b: Later) -> None: ...

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> None: ...

    class Callable_:
        def __call__(self, a: int, b: Later | None) -> None: ...

    assert takes(functools.partial(fn, 1)) == {"b": Later}
    assert takes(wrapper) == {"a": int, "b": Later}
    assert takes(Callable_()) == {"a": int, "b": Later | None}


def names_later_types(later: Later, many: list[Later]) -> None: ...


class Later:
    pass


Alias = Annotated[Context, "the job's"]
Named = NewType("Named", Context)
Bound = TypeVar("Bound", bound=Context)


def test_knows_a_context_that_may_be_absent_annotated_or_named_otherwise() -> None:
    def optional(ctx: Context | None, order: int) -> None: ...
    def old(ctx: Optional[Context], order: int) -> None: ...  # noqa: UP045
    def defaulted(ctx: Context | None = None, order: int = 1) -> None: ...
    def annotated(ctx: Annotated[Context, "mine"], order: int) -> None: ...
    def both(ctx: Annotated[Context | None, "mine"], order: int) -> None: ...
    def quoted(ctx: "Context | None", order: int) -> None: ...  # noqa: UP037
    def twice(ctx: Context, order: int) -> None: ...
    def alias(ctx: Alias, order: int) -> None: ...
    def named(ctx: Named, order: int) -> None: ...
    def bound(ctx: Bound, order: int) -> None: ...
    def final(ctx: Final[Context], order: int) -> None: ...  # type: ignore[valid-type]

    for fn in (optional, old, defaulted, annotated, both, quoted, twice, alias, named, bound):
        assert signature(fn).wants_context, fn.__name__
        assert takes(fn) == {"order": int}, fn.__name__
    with pytest.raises(InvalidTask, match="ctx"):
        _ = signature(final).parameters


@pytest.mark.parametrize(
    "written", ["missing.Context | None", "t.Optional[Context]", "t.Annotated[m.Context, 1]"]
)
def test_knows_an_unresolvable_context_in_every_spelling(written: str) -> None:
    def fn(ctx: Any, order: int) -> None: ...

    fn.__annotations__["ctx"] = written
    assert signature(fn).wants_context


def test_refuses_a_context_that_cannot_be_given() -> None:
    def by_name(*, ctx: Context, order: int) -> None: ...
    def later(*, order: int, ctx: Context | None = None) -> None: ...
    def rest(**ctx: Context) -> None: ...
    def many(ctx: list[Context]) -> None: ...
    def mapped(order: int, ctx: dict[str, Context]) -> None: ...
    def either(ctx: Context | int) -> None: ...

    for fn in (by_name, later, rest, many, mapped, either):
        with pytest.raises(InvalidTask, match="ctx: the Context must be the first parameter"):
            _ = signature(fn).parameters
