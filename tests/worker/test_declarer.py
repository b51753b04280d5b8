"""What the code declares, the store has: also one that has forgotten it, and after newer code."""

from __future__ import annotations

import contextlib

import psycopg
import pytest

from pgqueue import App, operations
from pgqueue.jobs.schedules.rows import ScheduleRow
from tests.worker.process import soon
from tests.worker.store import Store
from tests.worker.test_scheduler import declaration, running, version

HAS_QUEUE = "SELECT limits FROM pgqueue.queue WHERE name = 'api'"


def said(store: Store, name: str) -> str | None:
    rows: list[ScheduleRow] = store.app.execute(operations.schedules([name])).rows
    return rows[0].said if rows else None


def limits(store: Store) -> object:
    with psycopg.connect(store.url) as connection:
        return connection.execute(HAS_QUEUE).fetchone()


def with_limits(app: App, concurrency: int) -> App:
    app.queue("api", concurrency=concurrency)
    return app


async def test_the_newest_worker_that_lives_decides(store: Store, postgres_url: str) -> None:
    async with contextlib.AsyncExitStack() as old, contextlib.AsyncExitStack() as new:
        await running(with_limits(version(postgres_url, declaration("a", "@hourly")), 1), old)
        await running(with_limits(version(postgres_url, declaration("a", "@daily")), 2), new)
        assert said(store, "a") == "@daily"
        assert limits(store) == ({"concurrency": 2},)

        await new.aclose()

        await soon(lambda: said(store, "a") == "@hourly")
        await soon(lambda: limits(store) == ({"concurrency": 1},))


async def test_says_so_when_code_takes_the_place_of_what_was_changed_while_it_ran(
    store: Store, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await running(version(postgres_url, declaration("a", "@hourly")), stack)
    store.app.schedules.change("a", cron="0 8 * * *")

    async with contextlib.AsyncExitStack() as stack:
        await running(version(postgres_url, declaration("a", "@hourly")), stack)
    assert (said(store, "a"), "dropped" in caplog.text) == ("0 8 * * *", False)

    async with contextlib.AsyncExitStack() as stack:
        await running(version(postgres_url, declaration("a", "@daily")), stack)
    assert said(store, "a") == "@daily"
    assert "schedule a: the code says another cron, said now; what was changed" in caplog.text


async def test_an_older_worker_does_not_decide(store: Store, postgres_url: str) -> None:
    async with contextlib.AsyncExitStack() as stack, contextlib.AsyncExitStack() as middle:
        await running(version(postgres_url, declaration("a", "@hourly")), stack)
        await running(version(postgres_url, declaration("a", "@weekly")), middle)
        newest = await running(version(postgres_url, declaration("a", "@daily")), stack)
        joined = [worker.id for worker in store.app.execute(operations.inspections.workers())]
        assert joined[-1] == newest.id

        await middle.aclose()

        await soon(lambda: len(store.app.execute(operations.inspections.workers())) == 2)
        assert said(store, "a") == "@daily"


async def test_a_store_that_has_forgotten_it_is_told_again(store: Store, postgres_url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        app = with_limits(version(postgres_url, declaration("a")), 3)
        await running(app, stack, heartbeat_interval=0.3)
        with psycopg.connect(store.url) as connection:
            for table in ("schedule", "queue", "worker"):
                connection.execute(f"DELETE FROM pgqueue.{table}".encode())

        await soon(lambda: said(store, "a"))
        assert limits(store) == ({"concurrency": 3},)
