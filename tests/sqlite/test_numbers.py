"""Ids that somebody has seen are given to nobody else, whatever becomes of the transaction."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from pgqueue import App, enqueue
from pgqueue.testing.conformance import a_job


@pytest.fixture
def app(url: str) -> Iterator[App]:
    app = App(url)
    app.enqueue(a_job())
    yield app
    app.close()


@pytest.fixture
def path(url: str) -> str:
    return url.removeprefix("sqlite:///")


@pytest.mark.parametrize("jobs", [1, 3, "unique", "a graph"])
def test_a_handle_that_was_rolled_back_names_no_other_job(
    app: App, path: str, jobs: int | str
) -> None:
    new = {
        "unique": [a_job(unique="k")],
        "a graph": [parent := a_job(), a_job().after(parent)],
    }.get(str(jobs)) or [a_job() for _ in range(int(jobs))]
    with closing(sqlite3.connect(path)) as connection:
        rolled_back = enqueue(connection, new)
        connection.rollback()

    assert app.enqueue(a_job()).id == rolled_back[-1].id + 1


def test_nor_does_one_of_a_savepoint(app: App, path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("SAVEPOINT one")
        rolled_back = enqueue(connection, a_job())
        connection.execute("ROLLBACK TO one")
        kept = enqueue(connection, a_job())
        connection.execute("COMMIT")

    assert kept.id == rolled_back.id + 1


def test_nor_does_one_of_a_session(app: App, url: str) -> None:
    engine = create_engine(url)
    with Session(engine) as session:
        rolled_back = enqueue(session, a_job())
        session.rollback()
        kept = enqueue(session, a_job())
        session.commit()
    engine.dispose()

    assert kept.id == rolled_back.id + 1
    assert app.enqueue([a_job(), a_job()])[0].id == kept.id + 1


def test_nor_does_one_of_another_process(app: App, path: str) -> None:
    program = """
import sqlite3, sys
from pgqueue import enqueue
from pgqueue.testing.conformance import a_job
connection = sqlite3.connect(sys.argv[1])
print(enqueue(connection, a_job()).id)
connection.rollback()
"""
    run = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )

    assert app.enqueue(a_job()).id == int(run.stdout) + 1


def test_nor_does_one_in_memory() -> None:
    app = App("sqlite:///:memory:")
    with pytest.raises(KeyError), app.backend.user_connection() as connection:
        rolled_back = enqueue(connection, a_job())
        raise KeyError

    assert app.enqueue(a_job()).id == rolled_back.id + 1


def test_where_nothing_can_lie_beside_the_file_it_holds_for_the_connection(
    app: App, path: str
) -> None:
    app.close()
    locks = Path(f"{path}-locks")
    for file in locks.iterdir():
        file.unlink()
    locks.rmdir()
    locks.touch()
    with closing(sqlite3.connect(path)) as connection:
        rolled_back = enqueue(connection, a_job())
        connection.rollback()
        assert enqueue(connection, a_job()).id == rolled_back.id + 1
