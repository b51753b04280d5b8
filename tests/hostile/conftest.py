"""Input that means no good, and a database that has to bear it.

Nothing is drawn at random: the same examples every time.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.databases import Databases

settings.register_profile(
    "hostile",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

# Quotes, NUL, line ends, marks that turn the direction round, halves of surrogate pairs, and what
# looks like something else.
NASTY = [
    "",
    " ",
    "\0",
    "a\0b",
    "\n",
    "a\r\nb",
    "\u202eevil\u202c",
    "\u200f",
    "\ufeff",
    "\ud800",
    "\udfff\ud800",
    "'; DROP TABLE pgqueue.job; --",
    '"',
    "\\",
    "\\u0000",
    "$1",
    ":task",
    "%s",
    "%(x)s",
    "{}",
    "${x}",
    "$$",
    "../../etc/passwd",
    "/dev/null",
    "-rf",
    "--help",
    "NULL",
    "null",
    "pgqueue.job",
    "x" * 129,
    "ü" * 128,
    "𝔘𝔫𝔦",
    "a" * 2**20,
]
TEXT = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=()), max_size=40))
NAME = st.one_of(TEXT, st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,20}", fullmatch=True))
NUMBER = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([2**53 + 1, 2**63, 2**64, -(2**64), 10**4000, 1e308, 5e-324]),
)
VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBER, TEXT),
    lambda inside: st.one_of(
        st.lists(inside, max_size=4), st.dictionaries(TEXT, inside, max_size=4)
    ),
    max_leaves=12,
)


def nested(depth: int) -> list[object]:
    """Lists in lists."""
    outer: list[object] = []
    for _ in range(depth):
        outer = [outer]
    return outer


def can_be_sent(*texts: str | None) -> bool:
    """Would a driver send these at all? psycopg refuses NUL and halves of surrogate pairs."""
    return not any("\0" in text or _has_halves(text) for text in texts if text is not None)


def _has_halves(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    """One database for many examples."""
    with databases.migrated() as url:
        yield url


@pytest.fixture(scope="module")
def connection(url: str) -> Iterator[psycopg.Connection]:
    """One connection for many examples; each is rolled back."""
    with psycopg.connect(url) as connection:
        yield connection


def count(connection: psycopg.Connection) -> int:
    """How many jobs there are for *connection*."""
    [(number,)] = connection.execute("SELECT count(*) FROM pgqueue.jobs").fetchall()
    return int(number)
