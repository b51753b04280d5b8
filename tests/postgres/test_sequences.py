"""Sequences behind the rows, as after a restore without them: no number is given twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pgqueue import App, operations
from pgqueue.errors import SequencesBehind
from pgqueue.operations import inspections
from pgqueue.testing.conformance import a_job
from pgqueue.testing.conformance.store import PROFILE
from tests.postgres.roles import a_role, as_role


@pytest.fixture
def owner(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def forget(owner: psycopg.Connection[Any]) -> None:
    for sequence in ("job_id", "position"):
        owner.execute(f"ALTER SEQUENCE pgqueue.{sequence} RESTART".encode())


@pytest.mark.parametrize("state", ["live", "archived", "a graph's", "a parent's that is gone"])
def test_a_worker_that_joins_moves_what_is_behind(
    app: App, owner: psycopg.Connection[Any], postgres_url: str, state: str
) -> None:
    before = app.enqueue([a_job() for _ in range(5)])
    match state:
        case "archived":
            app.execute(operations.cancel([job.id for job in before]))
        case "a graph's":
            owner.execute("INSERT INTO pgqueue.workflow (created_at, name) VALUES (now(), 'w')")
        case "a parent's that is gone":
            owner.execute("INSERT INTO pgqueue.dependency VALUES (5, 9, 'run', 'completed')")
    newest = {"a graph's": 6, "a parent's that is gone": 9}.get(state, 5)
    forget(owner)

    with a_role(postgres_url, "worker") as role:
        worker = App(as_role(postgres_url, role))
        worker.execute(operations.join(PROFILE))
        worker.close()

    assert app.enqueue(a_job()).id == newest + 1
    last = owner.execute("SELECT id FROM pgqueue.job ORDER BY position DESC LIMIT 1").fetchone()
    assert last == (newest + 1,)


def test_what_is_far_behind_is_refused_with_its_cure(
    app: App, owner: psycopg.Connection[Any]
) -> None:
    owner.execute(
        "INSERT INTO pgqueue.job (id, state, task) VALUES (20000000, 'available', 'never')"
    )

    with pytest.raises(SequencesBehind, match="numbers would be given twice") as refused:
        app.execute(operations.join(PROFILE))

    assert app.execute(inspections.workers()) == []
    owner.execute(str(refused.value).partition("its owner runs ")[2].encode())
    app.execute(operations.join(PROFILE))
    assert app.enqueue(a_job()).id == 20_000_001


def test_what_is_not_behind_stays(app: App, owner: psycopg.Connection[Any]) -> None:
    app.enqueue([a_job() for _ in range(5)])
    owner.execute("SELECT setval('pgqueue.job_id', 100)")

    app.execute(operations.join(PROFILE))

    assert app.enqueue(a_job()).id == 101
