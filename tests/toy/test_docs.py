"""docs/backends.md, which whoever writes a backend relies on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgqueue import copying, operations
from pgqueue.backends.base import Backend
from pgqueue.backends.capabilities import CAPABILITIES
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.backends.redis import RedisBackend
from pgqueue.backends.sqlite import SqliteBackend
from tests.toy import backend as toy

_PAGE = Path(__file__).parents[2].joinpath("docs", "backends.md").read_text("utf-8")


def section(title: str) -> list[list[str]]:
    """The rows of the table below *title*."""
    text = _PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return rows[1:]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)", cell)


def test_the_page_has_every_operation_once() -> None:
    verbs = Path(operations.__file__).parent.glob("*.py")
    files = [*verbs, *Path(copying.__file__).parent.glob("*.py")]
    source = "".join(file.read_text("utf-8") for file in files)
    asked = set(re.findall(r'\bOperation\(\s*"(\w+)"', source)) | {"enqueue"}

    asked -= {"enqueue_one", "enqueue_alike"}  # brief ones, which no store needs

    told = [name for row in section("The operations") for name in names(row[0])]

    assert sorted(told) == sorted(asked)


def test_the_page_has_every_method_of_a_backend() -> None:
    told = {name for row in section("The protocol") for name in names(row[0])}

    assert told == {name for name in vars(Backend) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("column", "backend"),
    [
        (1, PostgresBackend),
        (2, SqliteBackend("sqlite:///jobs.db")),
        (3, SqliteBackend("sqlite:///:memory:")),
        (4, RedisBackend),
        (5, toy.ToyBackend),
    ],
)
def test_the_page_says_what_each_store_can_do(column: int, backend: Backend) -> None:
    told = {names(row[0])[0]: row[column] for row in section("Capabilities")}

    assert told == {name: "yes" if name in backend.capabilities else "no" for name in CAPABILITIES}


def test_the_toy_is_short() -> None:
    assert len(Path(toy.__file__).read_text("utf-8").splitlines()) < 100
