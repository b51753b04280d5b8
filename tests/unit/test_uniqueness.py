from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pgqueue.errors import InvalidArguments, InvalidJob
from pgqueue.tasks import TaskRegistry
from pgqueue.uniqueness import Unique


def key(unique: Unique, *args: Any, name: str = "send", **kwargs: Any) -> str | None:
    def send(order_id: int, day: date | None = None, *, labels: Any = ()) -> None: ...

    return TaskRegistry().task(name=name, unique=unique)(send).job(*args, **kwargs).unique


def test_no_key_unless_asked_for() -> None:
    assert key(False, 1) is None


def test_the_same_arguments_have_the_same_key_however_they_are_given() -> None:
    assert key(True, 1) == key(True, order_id=1) == key(True, 1, None) == key(True, 1, labels=())
    assert key(True, 1, labels={"b": 1, "a": {2, 1}}) == key(True, 1, labels={"a": {1, 2}, "b": 1})


def test_other_arguments_or_another_task_have_another_key() -> None:
    keys = {
        key(True, 1),
        key(True, 2),
        key(True, 1, date(2026, 1, 1)),
        key(True, 1, name="other"),
        key("{order_id}", 1),
        key("{order_id}", 1, name="other"),
    }
    assert len(keys) == 6
    assert all(k is not None and k.startswith(("send:", "other:")) for k in keys)


def test_fills_a_template_with_arguments_and_defaults() -> None:
    assert key("order-{order_id}/{day}", 7) == "send:order-7/None"
    assert key("{day:%Y-%m}", 7, date(2026, 3, 1)) == "send:2026-03"


def test_says_when_a_template_cannot_be_filled_in() -> None:
    for template in ("{order}", "{}", "{order_id.x}", "{order_id"):
        with pytest.raises(InvalidArguments, match=r"send: unique: .* cannot be filled in"):
            key(template, 7)


def test_asks_a_function_of_the_arguments() -> None:
    assert key(lambda order_id, day, labels: f"o{order_id}", 7) == "send:o7"
    assert key(lambda order_id, **_: None, 7) is None


def test_refuses_a_key_that_cannot_be_kept() -> None:
    with pytest.raises(InvalidJob, match=r"send: unique: .* a hash of the rest"):
        key("x" * 600, 7)


def test_says_when_a_default_makes_no_key() -> None:
    @TaskRegistry().task(unique=True)
    def send(order_id: int, sink: Any = object()) -> None: ...  # noqa: B008

    with pytest.raises(InvalidArguments, match="send: unique: a default cannot be written as JSON"):
        send.job(1)


def test_options_give_a_whole_key() -> None:
    @TaskRegistry().task(unique=True)
    def send(order_id: int) -> None: ...

    assert send.job(1).options(unique="shared").unique == "shared"
