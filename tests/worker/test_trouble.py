"""A store in trouble refuses a statement: the job's outcome is kept, and sent again."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from sqlalchemy import make_url

from pgqueue import App
from pgqueue.jobs.job import State
from tests.worker.conftest import Start, Work
from tests.worker.process import soon
from tests.worker.store import Store, becomes, ended

REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM nextval('refused'); RAISE SQLSTATE '{code}'; END $$;
    CREATE SEQUENCE refused;
    CREATE TRIGGER refuse BEFORE {event} FOR EACH ROW EXECUTE FUNCTION refuse()
"""
ASKS_WHAT_IS_HELD = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND starts_with(query, 'WITH free ')
"""
REFUSED = "SELECT is_called AND last_value >= 3 FROM refused"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("53100", id="the disk is full"),
        pytest.param("53200", id="out of memory"),
        pytest.param("57014", id="the statement was cancelled"),
        pytest.param("58030", id="the disk fails"),
    ],
)
async def test_an_outcome_outlasts_a_store_in_trouble(
    app: App, work: Work, store: Store, code: str
) -> None:
    runs = []

    @app.task
    async def ring() -> str:
        runs.append("ran")
        return "rang"

    with psycopg.connect(store.url, autocommit=True) as admin:
        refuse = REFUSE.format(code=code, event="INSERT ON pgqueue.archive_completed")
        admin.execute(refuse.encode())
        await work()
        handle = await app.enqueue_async(ring.job())
        await soon(lambda: store.value(REFUSED))
        admin.execute("DROP TRIGGER refuse ON pgqueue.archive_completed")

    job = await ended(app, handle)
    assert (job.state, job.attempt, job.errors) == (State.COMPLETED, 1, ())
    assert len(runs) == 1


async def test_an_outcome_outlasts_a_table_that_is_locked(
    app: App, work: Work, store: Store
) -> None:
    """For longer than a statement waits: neither is it taken, nor is it said what holds it up."""
    gate = asyncio.Event()

    @app.task
    async def ring() -> None:
        await gate.wait()

    await work()
    handle = await app.enqueue_async(ring.job())
    await becomes(app, handle, State.RUNNING)
    with psycopg.connect(store.url) as admin:
        # In a thread: the worker, in this loop, may have a transaction to end before.
        await asyncio.to_thread(admin.execute, "LOCK TABLE pgqueue.job IN ACCESS EXCLUSIVE MODE")
        gate.set()
        await soon(lambda: store.value(ASKS_WHAT_IS_HELD) == 1)
        await soon(lambda: store.value(ASKS_WHAT_IS_HELD) == 0)

    job = await ended(app, handle)
    assert (job.state, job.attempt, job.errors) == (State.COMPLETED, 1, ())


async def test_a_failure_that_cannot_be_stored_is_not_forgotten(
    app: App, work: Work, store: Store
) -> None:
    @app.task
    async def ring() -> None: ...

    with psycopg.connect(store.url, autocommit=True) as admin:
        await work()
        event = "INSERT ON pgqueue.archive_completed"
        admin.execute(REFUSE.format(code="XX000", event=event).encode())
        admin.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON pgqueue.job FOR EACH ROW"
            " WHEN (NEW.state = 'retryable') EXECUTE FUNCTION refuse()"
        )
        handle = await app.enqueue_async(ring.job())
        await soon(lambda: store.value(REFUSED))
        admin.execute("DROP TRIGGER refuse ON pgqueue.job")

    job = await becomes(app, handle, State.RETRYABLE)
    assert [error.type for error in job.errors] == ["InternalError_"]


def test_a_worker_whose_database_does_not_exist_gives_up_and_says_why(
    start: Start, postgres_url: str
) -> None:
    url = make_url(postgres_url).set(database="mistyped").render_as_string(hide_password=False)

    worker = start(url, start_timeout=1)

    assert worker.ends() == 1
    assert "no database within 1 s: PostgreSQL cannot be reached" in worker.log
    assert '"mistyped" does not exist' in worker.log.splitlines()[-1]


def test_several_processes_whose_database_does_not_exist_give_up_too(
    start: Start, postgres_url: str
) -> None:
    url = make_url(postgres_url).set(database="mistyped").render_as_string(hide_password=False)

    worker = start(url, start_timeout=1, processes=2)

    assert worker.ends() == 1
    assert worker.log.count("Error: no database within 1 s") == 1
