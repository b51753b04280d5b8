"""`pgqueue migrate`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from pgqueue import migrations
from tests.cli.terminal import Terminal


@pytest.fixture
def terminal(empty_url: str) -> Terminal:
    return Terminal(empty_url)


def test_brings_an_empty_database_up_to_date_once(terminal: Terminal) -> None:
    head = migrations.head()
    assert terminal.ok("migrate") == f"schema pgqueue: at {head}, before there was none\n"
    assert terminal.ok("migrate") == f"schema pgqueue: at {head}, as needed\n"


def test_check_says_whether_it_is_needed(terminal: Terminal) -> None:
    before = terminal("migrate", "--check")
    assert before.code == 1
    assert "run `pgqueue migrate`" in before.err
    terminal.ok("migrate")
    assert "as needed" in terminal.ok("migrate", "--check")


@pytest.mark.parametrize("store", ["postgres", "sqlite"])
def test_check_says_what_it_would_change_as_json_too(
    store: str, empty_url: str, tmp_path: Path
) -> None:
    terminal = Terminal(empty_url if store == "postgres" else f"sqlite:///{tmp_path}/jobs.db")
    head = migrations.head(store)
    before = terminal("migrate", "--check", "--json")
    assert before.code == 1
    document = {"schema": "pgqueue", "before": None, "after": head, "changed": True}
    assert json.loads(before.out) == document
    assert "run `pgqueue migrate`" in before.err
    assert list(tmp_path.iterdir()) == []

    terminal.ok("migrate")
    document = {"schema": "pgqueue", "before": head, "after": head, "changed": False}
    assert terminal("migrate", "--check", "--json").json == document


def test_a_schema_of_a_later_version_is_no_error_and_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    terminal = Terminal(url)
    terminal.ok("migrate")
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as later:
        later.execute("INSERT INTO pgqueue_migration (version) VALUES ('9999')")

    for words in (["migrate"], ["migrate", "--check"]):
        assert "at 9999, newer than this pgqueue" in terminal.ok(*words)


def test_json_says_what_changed(terminal: Terminal) -> None:
    head = migrations.head()
    first, second = terminal("migrate", "--json").json, terminal("migrate", "--json").json
    assert first == {"schema": "pgqueue", "before": None, "after": head, "changed": True}
    assert second == {"schema": "pgqueue", "before": head, "after": head, "changed": False}


def test_another_schema_is_told_by_option_or_variable(terminal: Terminal) -> None:
    assert "schema jobs: at" in terminal.ok("migrate", "--schema", "jobs")
    assert "schema jobs, version" in terminal.ok("status", PGQUEUE_SCHEMA="jobs")


def test_sql_prints_what_psql_would_run(terminal: Terminal, empty_url: str) -> None:
    script = Terminal(None).ok("migrate", "--sql", "--schema", "jobs")
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(script.encode())
    assert "as needed" in terminal.ok("migrate", "--check", "--schema", "jobs")


def test_going_back_wants_a_yes(terminal: Terminal) -> None:
    terminal.ok("migrate")
    ended = terminal("migrate", "--to", "base")
    assert ended.code == 2
    assert "--yes" in ended.err
    assert terminal.ok("migrate", "--to", "base", "--yes") == "schema pgqueue: gone\n"
    assert terminal("migrate", "--check").code == 1


def test_an_unknown_version_is_an_error(terminal: Terminal) -> None:
    ended = terminal("migrate", "--to", "0999")
    assert ended.code == 1
    assert "0999" in ended.err
    assert len(ended.err.splitlines()) == 1
