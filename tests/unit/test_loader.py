"""The loader, the only door to the files in sql/: what it makes of a text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pgqueue import statements
from pgqueue.errors import PgqueueError
from pgqueue.statements.files import load
from pgqueue.statements.sql import PARAMSTYLES, Statement, split


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Statement]:
    """Loads one file of a store that has only these."""

    def write(name: str, **files: str) -> Statement:
        for stem, text in files.items():
            (tmp_path / f"{stem}.sql").write_text(text)
        return load(str(tmp_path))[name]

    monkeypatch.setattr(statements, "folder", Path)
    return write


def test_parameters_are_numbered_as_they_come(written: Callable[..., Statement]) -> None:
    [step] = written("a", a="SELECT :b::int, :a::text, :b::int;").steps

    assert step.sql == "SELECT $1::int, $2::text, $1::int"
    assert step.params == ("b", "a")
    assert step.bind({"a": "A", "b": "B", "c": "C"}) == ["B", "A"]


def test_each_statement_has_its_own_numbers(written: Callable[..., Statement]) -> None:
    first, second = written("a", a="SELECT :a::int, :b::int;\nSELECT :b::int;\n").steps

    assert (first.params, second.params) == (("a", "b"), ("b",))
    assert second.sql == "SELECT $1::int"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT ';'",
        "SELECT 'it''s; :a'",
        "SELECT ':a', a::text",
        "DO $$ BEGIN; :a; END $$",
        "DO $x$ SELECT $$;$$; ':a' $x$",
        "SELECT '{\"a\": :b}'",
        "SELECT '--', 1",
    ],
)
def test_what_is_in_quotes_is_left_alone(written: Callable[..., Statement], text: str) -> None:
    [step] = written("a", a=f"{text};").steps

    assert (step.sql, step.params) == (text, ())


def test_comments_are_not_sent(written: Callable[..., Statement]) -> None:
    text = "-- it's :a; here\nSELECT 1 -- don't; :b\n+ 2;\n-- the end: it's"
    [step] = written("a", a=text).steps

    assert step.params == ()
    assert re.sub(r"\s+", " ", step.sql) == "SELECT 1 + 2"


def test_a_statement_ends_with_a_semicolon(written: Callable[..., Statement]) -> None:
    with pytest.raises(PgqueueError, match="lacks its semicolon: 'SELECT 2'"):
        written("a", a="SELECT 1;\nSELECT 2")


def test_a_line_stands_for_a_text_that_several_include(
    written: Callable[..., Statement], tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "small.sql").write_text("-- small: is it? a; b\n:a::int < 7\n")
    files = {"a": "SELECT 1 WHERE\n    -- include: small\n  AND true;", "b": "SELECT 2;"}

    statement = written("a", **files)

    [step] = statement.steps
    assert re.sub(r"\s+", " ", step.sql) == "SELECT 1 WHERE $1::int < 7 AND true"
    assert step.params == ("a",)
    assert load(str(tmp_path)).keys() == {"a", "b"}


def test_what_is_asked_first_is_named_in_the_header(written: Callable[..., Statement]) -> None:
    files = {"a": "-- a: does\n-- unless: b\nSELECT 1;", "b": "-- b: asks\nSELECT :x::int;"}
    statement = written("a", **files)

    assert statement.unless is not None
    assert statement.unless.sql == "SELECT $1::int"
    assert not statement.atomic
    assert written("b", **files).unless is None


def test_what_follows_is_named_in_the_header(written: Callable[..., Statement]) -> None:
    files = {
        "a": "-- a: does\n-- then: b, c\nSELECT 1;\nSELECT 2;",
        "b": "SELECT :x::int;",
        "c": "SELECT 4;\nSELECT 5;",
    }
    statement = written("a", **files)

    assert [step.sql for step in statement.steps] == ["SELECT 1", "SELECT 2"]
    assert [step.sql for step in statement.followed_by] == [
        "SELECT $1::int",
        "SELECT 4",
        "SELECT 5",
    ]
    assert not statement.atomic
    assert statement.repeats


@pytest.mark.parametrize(("text", "atomic"), [("SELECT 1;", True), ("SELECT 1; SELECT 2;", False)])
def test_one_statement_alone_needs_no_transaction(
    written: Callable[..., Statement], text: str, atomic: bool
) -> None:
    assert written("a", a=text).atomic is atomic


def test_a_store_without_files_is_an_error() -> None:
    with pytest.raises(PgqueueError, match="reinstall"):
        statements.folder("oracle")


def test_other_drivers_are_given_texts_and_their_own_percent_signs() -> None:
    text = "SELECT :b::integer % 2, '50 %', CAST(:a AS text), :b::text; -- 100 %\n"

    assert [
        (step.sql, step.given({"a": "x", "b": "1"}))
        for style in PARAMSTYLES
        for step in split(text, style, as_text=True)
    ] == [
        (
            "SELECT %(b)s::text::integer %% 2, '50 %%', CAST(%(a)s AS text), %(b)s::text::text",
            {"b": "1", "a": "x"},
        ),
        (
            "SELECT %s::text::integer %% 2, '50 %%', CAST(%s AS text), %s::text::text",
            ["1", "x", "1"],
        ),
        (
            "SELECT :b::text::integer % 2, '50 %', CAST(:a AS text), :b::text::text",
            {"b": "1", "a": "x"},
        ),
        (
            "SELECT $1::text::integer % 2, '50 %', CAST($2 AS text), $1::text::text",
            ["1", "x"],
        ),
    ]
