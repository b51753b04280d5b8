from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pytest

from pgqueue.jobs import jsontext


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "nan is no JSON number"),
        ({"a": [1, {"b": float("inf")}]}, "inf is no JSON number"),
        ((1, {float("-inf")}), "-inf is no JSON number"),
        ({"a": "x\0"}, "NUL"),
        ({"a\0": 1}, "NUL"),
        (["\ud800"], "lone surrogate"),
        ({"a": object()}, "object cannot be written as JSON"),
        ({(1, 2): 3}, "tuple cannot be written"),
        (complex(1), "complex cannot be written"),
    ],
)
def test_refuses_what_json_or_a_store_has_not(value: Any, problem: str) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        jsontext.write(value)


def test_refuses_what_contains_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        jsontext.write(loop)


@pytest.mark.parametrize("value", [None, "null", [None, 1.5], "\\u0000", "\x01", "\u2028é😀"])
def test_writes_what_only_looks_like_trouble(value: Any) -> None:
    assert msgspec.json.decode(jsontext.write(value)) == value


def test_says_how_much_is_too_much() -> None:
    assert jsontext.write("xx", 4) == '"xx"'
    with pytest.raises(jsontext.TooLarge, match="5 bytes of JSON; the limit is 4"):
        jsontext.write("xxx", 4)


def test_equal_values_have_one_sorted_text() -> None:
    assert jsontext.write_sorted({"b": {2, 1}, "a": 1}) == jsontext.write_sorted(
        {"a": 1, "b": {1, 2}}
    )


def test_keeps_paths() -> None:
    assert jsontext.reader(Path).decode(jsontext.write(Path("/a/b"))) == Path("/a/b")
    assert jsontext.reader(list[PurePosixPath]).decode('["a"]') == [PurePosixPath("a")]
    with pytest.raises(msgspec.ValidationError, match="Expected `Path`, got `int`"):
        jsontext.reader(Path).decode("3")
