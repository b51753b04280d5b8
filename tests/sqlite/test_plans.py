"""Every statement of the hot paths walks an index, and sorts nothing, whatever the backlog."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from pgqueue.backends.sqlite import SqliteBackend
from pgqueue.backends.sqlite import file as sqlite_file
from pgqueue.statements.files import load
from pgqueue.testing.conformance import Store, a_job

FLOORS = '[{"priority": -32769, "position": 0, "below": 32768}]'
GIVEN = {
    "queue": "default",
    "strays": "10",
    "limit": "10",
    "now": 0,
    "floors": FLOORS,
    "lease": "1",
    "worker": "1",
    "jobs": '[{"lease": 1, "ids": [1, 2], "results": {}}]',
    "finished": '{"1": "completed"}',
    "done": '{"1": 1}',
    "children": "[]",
    "ending": "[]",
    "keep": "[]",
    "unkept": 0,
    "first": 1,
    "topics": '["default", "@", "#7", "!1"]',
    "due": "[]",
    "ids": "[1]",
    "retention": "{}",
    "gone": "[]",
}


@pytest.fixture
def connection(store: Store, backend: SqliteBackend) -> Iterator[sqlite3.Connection]:
    """To a store with a backlog, other queues and a history."""
    store.enqueue(*(a_job(queue=f"q{n % 7}", priority=n % 3) for n in range(300)))
    store.enqueue(*(a_job(delay=timedelta(hours=1)) for _ in range(100)))
    store.enqueue(*(a_job() for _ in range(300)))
    store.complete(*store.claim(100))
    with closing(sqlite_file.connect(backend.path)) as connection:
        connection.execute("ANALYZE")
        yield connection


def plan(connection: sqlite3.Connection, name: str, step: int) -> str:
    statement = load("sqlite")[name]
    sql = (*statement.steps, *statement.followed_by)[step].sql
    return "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", GIVEN))


def test_claim_walks_the_index_of_its_queue_from_each_floor(connection: sqlite3.Connection) -> None:
    seen = plan(connection, "claim", 0)

    from_floor = "(queue=? AND key=? AND (priority,position)>(?,?)"
    assert f"SEARCH j USING INDEX pgqueue_job_claim {from_floor}" in seen
    assert seen.index("SCAN floor") < seen.index(from_floor)
    assert "SEARCH pgqueue_job USING INTEGER PRIMARY KEY" in seen
    assert "TEMP B-TREE" not in seen


def test_the_next_job_of_a_topic_is_the_first_entry_of_its_index(
    connection: sqlite3.Connection,
) -> None:
    seen = plan(connection, "session/topic_marks", 0)

    assert "USING INDEX pgqueue_job_claim (queue=?)" in seen.replace("COVERING ", "")
    assert "pgqueue_job_due" in seen
    assert "pgqueue_job_cancelled" in seen
    assert "TEMP B-TREE" not in seen
    assert "SCAN pgqueue_job\n" not in seen


def test_promote_walks_what_is_due_in_its_order(connection: sqlite3.Connection) -> None:
    seen = plan(connection, "promote", 0)

    assert "USING INDEX pgqueue_job_due (run_at<?)" in seen.replace("COVERING ", "")
    assert "TEMP B-TREE" not in seen


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("complete", 0),
        ("complete", 1),
        ("complete", 2),
        ("complete", 3),
        ("complete", 5),
        ("complete", 6),
        ("get", 0),
    ],
)
def test_jobs_are_found_by_their_primary_key(
    connection: sqlite3.Connection, name: str, step: int
) -> None:
    seen = plan(connection, name, step)

    assert not re.search(r"SCAN (?!\w+ VIRTUAL|\(|CONSTANT)", seen), seen


def test_a_page_of_jobs_is_merged_from_two_primary_keys(connection: sqlite3.Connection) -> None:
    """What is not shown is not read, but for one job of each table."""
    given = dict.fromkeys(("state", "queue", "task", "tag", "workflow", "before")) | {"limit": "5"}
    sql = load("sqlite")["list"].steps[0].sql
    rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", given).fetchall()
    seen = "\n".join(row[3] for row in rows)

    assert "MERGE (UNION ALL)" in seen
    assert seen.count("USING INTEGER PRIMARY KEY (rowid<?)") == 2
    assert "TEMP B-TREE" not in seen


def test_prune_walks_from_the_oldest(connection: sqlite3.Connection) -> None:
    assert "INDEX pgqueue_archive_finished (state=? AND finished_at<?)" in plan(
        connection, "prune", 0
    )
