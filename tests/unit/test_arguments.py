"""Arguments through JSON and back."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from pgqueue.errors import InvalidArguments, InvalidTask, JobTooLarge
from pgqueue.jobs.checks import MAX_ARGS_BYTES
from pgqueue.tasks.arguments import ArgumentsCodec, Call
from pgqueue.tasks.signatures import Signature


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Line:
    sku: str
    count: int
    price: Decimal


@dataclass(frozen=True)
class Order:
    id: UUID
    lines: list[Line]
    note: bytes = b""
    tags: frozenset[str] = field(default_factory=frozenset)


class Options(TypedDict):
    urgent: bool
    colour: NotRequired[Colour]


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Card(msgspec.Struct, tag=True):
    number: str


class Invoice(msgspec.Struct, tag=True):
    due: date


class Address(BaseModel):
    model_config = ConfigDict(strict=True)
    street: str
    since: date = Field(alias="livesThereSince")
    parent: Address | None = None


def codec(fn: Callable[..., Any]) -> ArgumentsCodec:
    return ArgumentsCodec(fn.__name__, Signature(fn.__name__, fn))


def through_json(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
    made = codec(fn)
    return made.read(made.write(args, kwargs))


def arrives(annotation: Any, value: Any) -> Any:
    def fn(value: Any) -> None: ...

    fn.__annotations__["value"] = annotation
    (arrived,), _ = through_json(fn, value)
    return arrived


def refusal(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> InvalidArguments:
    with pytest.raises(InvalidArguments) as caught:
        codec(fn).write(args, kwargs)
    assert caught.value.task == fn.__name__
    assert str(caught.value).startswith(f"{fn.__name__}: ")
    return caught.value


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
# Postgres, like JSON, has no time zone to give back: an instant comes back in UTC.
instants = st.datetimes(timezones=st.just(UTC))
floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
lines = st.builds(Line, text, st.integers(), decimals)
TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (float, floats),
    (bool, st.booleans()),
    (str, text),
    (bytes, st.binary(max_size=50)),
    (Decimal, decimals),
    (UUID, st.uuids()),
    (datetime, instants),
    (datetime, st.datetimes()),
    (date, st.dates()),
    (time, st.times()),
    (timedelta, st.timedeltas(timedelta(-9999), timedelta(9999))),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (Literal["a", "b", 3], st.sampled_from(["a", "b", 3])),
    (int | None, st.none() | st.integers()),
    (int | str | None, st.none() | st.integers() | text),
    (list[bytes], st.lists(st.binary(max_size=5), max_size=3)),
    (tuple[int, str], st.tuples(st.integers(), text)),
    (tuple[date, ...], st.lists(st.dates(), max_size=3).map(tuple)),
    (set[UUID], st.sets(st.uuids(), max_size=3)),
    (dict[str, list[Decimal]], st.dictionaries(text, st.lists(decimals, max_size=2), max_size=2)),
    (dict[int, bool], st.dictionaries(st.integers(-(2**63), 2**63 - 1), st.booleans(), max_size=3)),
    (dict[date, Colour], st.dictionaries(st.dates(), st.sampled_from(Colour), max_size=2)),
    (Mapping[str, Sequence[int]], st.dictionaries(text, st.lists(st.integers()), max_size=2)),
    (Order, st.builds(Order, st.uuids(), st.lists(lines, max_size=2), st.binary(max_size=9))),
    (list[Point], st.lists(st.builds(Point, floats, floats), max_size=3)),
    (Options, st.fixed_dictionaries({"urgent": st.booleans()})),
    (Options, st.just({"urgent": True, "colour": Colour.RED})),
    (Card | Invoice, st.builds(Card, text) | st.builds(Invoice, st.dates())),
    (Annotated[int, msgspec.Meta(gt=0)], st.integers(1)),
    (Any, json_values),
]  # fmt: skip


@given(st.data())
@pytest.mark.parametrize(("annotation", "values"), TYPES, ids=[str(kind) for kind, _ in TYPES])
def test_arrives_equal_and_of_the_same_type(
    annotation: Any, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    arrived = arrives(annotation, value)
    assert arrived == value
    assert type(arrived) is type(value)


@given(st.lists(st.integers() | text, max_size=3), st.dictionaries(text, json_values, max_size=3))
def test_calls_the_function_as_it_was_called(numbers: list[Any], more: dict[str, Any]) -> None:
    def fn(a: list[int | str], b: int = 5, /, c: str = "c", *, d: bool, e: Any = None) -> None: ...

    assert through_json(fn, numbers, d=True) == ((numbers, 5, "c"), {"d": True, "e": None})
    assert through_json(fn, numbers, 6, c="x", e=more, d=False) == (
        (numbers, 6, "x"),
        {"d": False, "e": more},
    )


def test_writes_only_what_was_given() -> None:
    def fn(a: int, b: int = 5, *, c: int = 6) -> None: ...

    assert codec(fn).write((1,), {}) == '{"a":1}'
    assert codec(fn).write((1, 5), {}) == '{"a":1,"b":5}'


def test_a_default_is_the_functions_own_object() -> None:
    shared: list[int] = [1]
    odd = object()

    def fn(a: list[int] = shared, b: Any = odd, c: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    (a, b, c), _ = through_json(fn)
    assert a is shared
    assert b is odd
    assert c is None


def test_a_task_without_parameters_reads_nothing() -> None:
    def fn() -> None: ...

    assert through_json(fn) == ((), {})
    with pytest.raises(InvalidArguments, match="fn: a: there is no such one"):
        codec(fn).read('{"a":1}')


def test_takes_parameters_of_any_name() -> None:
    def fn(
        self: int, cls: int, _x: int, args: int, kwargs: int, task: int, *, name: int
    ) -> None: ...

    assert through_json(fn, 1, 2, 3, 4, 5, task=6, name=7) == ((1, 2, 3, 4, 5, 6), {"name": 7})


def test_takes_further_keywords_of_one_type() -> None:
    def fn(a: int, **dates: date) -> None: ...

    today = date(2026, 1, 1)
    assert through_json(fn, 1, start=today, end=today) == ((1,), {"start": today, "end": today})
    assert through_json(fn, 1) == ((1,), {})
    assert refusal(fn, 1, start="2026-01-01").parameter == "start"
    with pytest.raises(InvalidArguments, match="fn: end: Expected `date`, got `int`"):
        codec(fn).read('{"a":1,"end":3}')


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    [
        (int, "3", "Expected `int`, got `str`"),
        (int, 3.5, "Expected `int`, got `float`"),
        (int, True, "Expected `int`, got `bool`"),
        (int, None, "Expected `int`, got `null`"),
        (str, b"x", "Expected `str`, got `bytes`"),
        (str, UUID(int=1), "Expected `str`, got `uuid`"),
        (float, math.nan, "nan is no JSON number"),
        (float | None, math.inf, "inf is no JSON number"),
        (Any, [math.nan], "nan is no JSON number"),
        (bytes, "aGk=", "Expected `bytes`, got `str`"),
        (list[bytes], ["aGk="], "Expected `bytes`, got `str` at value"),
        (datetime, "2026-01-01T00:00:00Z", "Expected `datetime`, got `str`"),
        (UUID, "0" * 32, "Expected `uuid`, got `str`"),
        (Decimal, 1.1, "Expected `decimal`, got `float`"),
        (date, datetime(2026, 1, 1, tzinfo=UTC), "Expected `date`|Invalid RFC3339"),
        (Colour, "green", "Invalid enum value 'green'"),
        (Literal["a"], "b", "Invalid enum value 'b'"),
        (Order, {"id": 3, "lines": []}, "at value.id"),
        (Line, {"sku": "a", "count": "b", "price": Decimal(1)}, "got `str` at value.count"),
        (Options, {}, "Object missing required field `urgent`"),
        (Point, (1,), None),
        (Annotated[int, msgspec.Meta(gt=0)], 0, "Expected `int` >= 1"),
        (str, "a\0", "NUL"),
        (str, "\ud800", "lone surrogate"),
        (Any, object(), "object cannot be written as JSON"),
        (Any, {"a": {1, complex(0, 1)}}, "complex cannot be written as JSON"),
        pytest.param(int, 10**5000, "limit", id="more digits than Python prints"),
        (Path, 3, "Expected `Path`, got `int`"),
        (Address, {"street": 3}, "street"),
    ],
)
def test_refuses_at_the_caller_what_would_fail_in_the_worker(
    annotation: Any, value: Any, problem: str | None
) -> None:
    def fn(first: int, value: Any) -> None: ...

    fn.__annotations__["value"] = annotation
    if problem is None:
        assert codec(fn).write((1, value), {})
        return
    refused = refusal(fn, 1, value)
    assert refused.parameter == "value"
    assert refused.args[0].startswith("fn: value: ")
    assert any(words in refused.args[0] for words in problem.split("|"))


def test_refuses_a_loop() -> None:
    def fn(value: Any) -> None: ...

    loop: dict[str, Any] = {}
    loop["again"] = loop
    assert "contains itself" in str(refusal(fn, loop))


def test_refuses_what_is_nested_deeper_than_python_can_follow() -> None:
    def fn(value: Any) -> None: ...

    deep = "[" * 100_000 + "]" * 100_000
    with pytest.raises(InvalidArguments, match="fn: nested too deeply"):
        codec(fn).read(f'{{"value":{deep}}}')
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert "nested too deeply" in str(refusal(fn, nested))


def test_refuses_a_call_that_does_not_fit_and_shows_what_does() -> None:
    def fn(order: int, *, note: str = "") -> None: ...

    assert refusal(fn).parameter == "order"
    assert "it takes (order: int, *, note: str = '')" in str(refusal(fn))
    assert "too many positional arguments" in str(refusal(fn, 1, "x"))
    assert refusal(fn, 1, order=2).parameter == "order"
    assert refusal(fn, 1, colour=2).parameter == "colour"


def test_refuses_arguments_over_the_limit() -> None:
    def fn(value: str) -> None: ...

    codec(fn).write(("x" * (MAX_ARGS_BYTES - 12),), {})
    with pytest.raises(JobTooLarge, match="fn: args: 1048577 bytes of JSON"):
        codec(fn).write(("x" * (MAX_ARGS_BYTES - 11),), {})


def test_tells_the_worker_which_argument_another_version_wrote() -> None:
    def fn(order: int) -> None: ...

    reader = codec(fn)
    for written, parameter in [
        ('{"order":1,"new":2}', "new"),
        ("{}", "order"),
        ('{"order":[]}', "order"),
    ]:
        with pytest.raises(InvalidArguments, match=f"fn: {parameter}: ") as caught:
            reader.read(written)
        assert caught.value.parameter == parameter
    with pytest.raises(InvalidArguments, match="fn: "):
        reader.read("nonsense")


def test_keeps_pydantic_models_nested_and_by_alias() -> None:
    parent = Address(street="Elm", livesThereSince=date(2000, 1, 1))
    home = Address(street="Oak", livesThereSince=date(2020, 2, 2), parent=parent)
    assert arrives(Address, home) == home
    assert arrives(list[Address | None], [home, None]) == [home, None]

    def fn(address: Address) -> None: ...

    (read,), _ = codec(fn).read('{"address":{"street":"Oak","livesThereSince":"2020-02-02"}}')
    assert read == Address(street="Oak", livesThereSince=date(2020, 2, 2))


@pytest.mark.parametrize(
    "annotation",
    [str | bytes, datetime | UUID, Line | Order, enum.Enum("Mixed", {"A": "a", "B": 1})],
)
def test_refuses_a_type_that_json_cannot_tell_apart(annotation: Any) -> None:
    def fn(first: int, value: Any) -> None: ...

    fn.__annotations__["value"] = annotation
    with pytest.raises(InvalidTask, match="fn: value: "):
        codec(fn)


def test_a_parameter_without_annotation_gets_what_json_has() -> None:
    def fn(value, other=3): ...  # type: ignore[no-untyped-def]

    assert through_json(fn, {"a": [1, None]}) == (({"a": [1, None]}, 3), {})
    assert through_json(fn, date(2026, 1, 1)) == (("2026-01-01", 3), {})
