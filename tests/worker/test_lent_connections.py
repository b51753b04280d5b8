"""A connection lent to a task: only the block ends its transaction, and nothing set on it stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pgqueue import App, Context
from pgqueue.jobs.job import Handle, Job
from pgqueue.operations import inspections
from pgqueue.worker import Options, Worker

WRITE = "INSERT INTO entry VALUES (1)"
ENDS: dict[str, Callable[[Any], object]] = {
    "commit": lambda connection: connection.commit(),
    "rollback": lambda connection: connection.rollback(),
    "COMMIT": lambda connection: connection.execute("COMMIT"),
    "ROLLBACK": lambda connection: connection.execute("ROLLBACK"),
    "with": lambda connection: connection.__enter__().__exit__(None, None, None),
    "script": lambda connection: connection.executescript("SELECT 1"),
}
# What psycopg and we refuse before it is done: then nothing was written.
REFUSED = {"commit", "rollback", "with", "script"}


def _entries(url: str) -> int:
    count = "SELECT count(*) FROM entry"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return int(connection.execute(count).fetchone()[0])
    with psycopg.connect(url) as connection:
        [(found,)] = connection.execute(count).fetchall()
        return int(found)


@pytest.fixture(params=["postgres", "sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    url = (
        request.getfixturevalue("postgres_url")
        if request.param == "postgres"
        else f"sqlite:///{tmp_path}/jobs.db"
    )
    app = App(url)
    with app.backend.user_connection() as connection:
        connection.execute("CREATE TABLE entry (n integer)")
    yield app
    app.close()


async def _done(app: App, *handles: Handle[Any]) -> list[Job]:
    await Worker(app, Options(drain=True)).run()
    found = await app.execute_async(inspections.get(handles))
    return [found[handle.id] for handle in handles]


@pytest.mark.parametrize("kind", ["coroutine", "function"])
@pytest.mark.parametrize("end", ENDS)
async def test_a_task_that_ends_the_transaction_itself_fails(app: App, end: str, kind: str) -> None:
    """Else its writes could be there without the completion, or the other way round."""
    if end in ("with", "script") and app.backend.store == "postgres":
        pytest.skip("psycopg's connection closes itself, and has no script")

    async def coroutine(ctx: Context) -> None:
        async with ctx.transaction() as connection:
            for answer in (connection.execute(WRITE), ENDS[end](connection)):
                if hasattr(answer, "__await__"):
                    await answer

    def function(ctx: Context) -> None:
        with ctx.transaction() as connection:
            connection.execute(WRITE)
            ENDS[end](connection)

    ending = app.task(max_attempts=1, name="ending")(
        {"coroutine": coroutine, "function": function}[kind]
    )
    [job] = await _done(app, app.enqueue(ending.job()))

    assert job.state == "discarded"
    assert "ransaction" in job.errors[-1].message
    if end in REFUSED:
        assert _entries(str(app.url)) == 0


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_it_spoils_the_connection_for_nobody(app: App, kind: str) -> None:
    async def coroutine(ctx: Context) -> None:
        async with ctx.transaction() as connection:
            answer = connection.execute("COMMIT")
            if hasattr(answer, "__await__"):
                await answer

    def function(ctx: Context) -> None:
        with ctx.transaction() as connection:
            connection.execute("COMMIT")

    ending = app.task(max_attempts=1, name="ending")(
        {"coroutine": coroutine, "function": function}[kind]
    )

    @app.task
    def writes(ctx: Context) -> None:
        with ctx.transaction() as connection:
            connection.execute(WRITE)

    @app.task
    async def writes_too(ctx: Context) -> None:
        async with ctx.transaction() as connection:
            answer = connection.execute(WRITE)
            if hasattr(answer, "__await__"):
                await answer

    await _done(app, app.enqueue(ending.job()))
    jobs = await _done(app, *app.enqueue([writes.job(), writes_too.job()]))

    assert [job.state for job in jobs] == ["completed", "completed"]
    assert _entries(str(app.url)) == 2


async def test_how_rows_are_made_is_each_tasks_own(app: App) -> None:
    rows: list[Any] = []

    @app.task
    def asks(ctx: Context, *, by_name: bool) -> None:
        with ctx.transaction() as connection:
            if by_name:
                postgres = isinstance(connection, psycopg.Connection)
                connection.row_factory = dict_row if postgres else sqlite3.Row
            rows.append(connection.execute("SELECT 7 AS n").fetchone())

    for by_name in (True, False):
        await _done(app, app.enqueue(asks.job(by_name=by_name)))

    assert rows[0]["n"] == 7
    assert rows[1] == (7,)
