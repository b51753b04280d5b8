"""What a job may hold, by the table's own check, for whoever writes rows without our statements."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from pgqueue import migrations
from pgqueue.statements.files import schema_files

_ROW: dict[str, Any] = {"state": "available", "task": "send"}
_GOOD: list[dict[str, Any]] = [
    {},
    {"state": "scheduled"},
    {"state": "retryable"},
    {"state": "blocked", "blocked_by": 1},
    {"state": "running", "lease": 1},
    {"state": "running", "lease": 1, "task": "", "key": "k" * 129},  # it was checked before it ran
    {
        "run_at": "0001-01-03 00:00Z",
        "enqueued_at": "9999-12-30 00:00Z",
        "expires_at": "2000-01-01Z",
    },
    {"timeout_seconds": 0.001},
    {"timeout_seconds": 3155760000.0},
    {"task": "a" * 128, "queue": "_.:/-" + "b" * 123, "key": "\N{SNOWMAN}" * 128},
    {"unique_key": "\N{SNOWMAN}" * 512},
    {"metadata": "{}"},
    {"tags": []},
    {"tags": ["a"] * 64},
]
_BAD: list[dict[str, Any]] = [
    {"state": "completed"},
    {"state": "running"},
    {"state": "running", "lease": 1, "blocked_by": 1},
    {"lease": 1},
    {"blocked_by": 1},
    {"state": "blocked"},
    {"state": "blocked", "blocked_by": -1},
    {"state": "blocked", "blocked_by": 1, "lease": 1},
    {"run_at": "infinity"},
    {"run_at": "0001-01-02 00:00Z"},
    {"enqueued_at": "-infinity"},
    {"enqueued_at": "9999-12-31 00:00Z"},
    {"expires_at": "0001-01-01 00:00Z"},
    {"expires_at": "infinity"},
    {"max_attempts": 0},
    {"timeout_seconds": 0.0},
    {"timeout_seconds": float("nan")},
    {"timeout_seconds": 3155760001.0},
    {"task": ""},
    {"task": "-a"},
    {"task": "a b"},
    {"task": "a\n"},
    {"task": "ż"},
    {"task": "a" * 129},
    {"queue": ""},
    {"queue": "a;b"},
    {"queue": "a" * 129},
    {"key": "k" * 129},
    {"unique_key": ""},
    {"unique_key": "k" * 513},
    {"args": "[]"},
    {"args": "null"},
    {"metadata": "1"},
    {"tags": [["a"]]},
    {"tags": [None]},
    {"tags": ["a"] * 65},
]


def _insert(connection: psycopg.Connection[Any], changes: dict[str, Any]) -> None:
    row = _ROW | changes
    connection.execute(
        sql.SQL("INSERT INTO pgqueue.job ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        ),
        list(row.values()),
    )


def _refused(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Which of all rows the table takes as little as `_BAD`."""
    refused = []
    for changes in _GOOD + _BAD:
        try:
            with connection.transaction(force_rollback=True):
                _insert(connection, changes)
        except psycopg.errors.CheckViolation:
            refused.append(changes)
    return refused


def test_the_table_takes_what_a_worker_can_run_and_nothing_else(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert _refused(connection) == _BAD


def test_it_takes_the_same_as_the_checks_that_the_function_replaced(empty_url: str) -> None:
    before = [file.version for file in schema_files("postgres")].index("0013") - 1
    migrations.migrate(empty_url, to=schema_files("postgres")[before].version)
    with psycopg.connect(empty_url) as connection:
        assert _refused(connection) == _BAD


def test_operators_of_the_callers_own_change_nothing(postgres_url: str) -> None:
    """The function has no search_path of its own: what it names, it names with its schema."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE SCHEMA mine")
        for kinds in (("smallint", "integer"), ("integer", "integer"), ("float8", "float8")):
            left, right = kinds
            connection.execute(
                f"CREATE FUNCTION mine.yes({left}, {right}) RETURNS boolean"
                " LANGUAGE sql IMMUTABLE AS 'SELECT true'".encode()
            )
            for name in (">", ">=", "<", "<=", "="):
                connection.execute(
                    f"CREATE OPERATOR mine.{name} (FUNCTION = mine.yes,"
                    f" LEFTARG = {left}, RIGHTARG = {right})".encode()
                )
        connection.execute(
            "CREATE FUNCTION mine.jsonb_typeof(jsonb) RETURNS text"
            " LANGUAGE sql IMMUTABLE AS $$SELECT 'object'$$"
        )
        connection.execute("SET search_path = mine, pg_catalog")
        assert connection.execute("SELECT 1::smallint >= 2").fetchone() == (True,)
        assert _refused(connection) == _BAD
        connection.rollback()
