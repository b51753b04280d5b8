"""A role or a database whose statements may take only so long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic

import psycopg
import pytest

from pgqueue import App, operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.errors import StatementTimeout, StoreBusy
from pgqueue.operations import Operation
from pgqueue.testing.conformance import Store, a_job
from pgqueue.worker import Options, Worker
from tests.settings.conftest import is_set
from tests.worker.process import eventually
from tests.worker.store import ended

MESSAGE = r"statement_timeout = 300ms.*ALTER ROLE"


@pytest.fixture
def limited(postgres_url: str) -> Iterator[PostgresBackend]:
    """A store where a claim takes longer than it may."""
    with psycopg.connect(postgres_url) as owner:
        owner.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(1); RETURN NEW; END'"
        )
        owner.execute(
            "CREATE TRIGGER dawdles BEFORE INSERT ON pgqueue.workflow "
            "FOR EACH STATEMENT EXECUTE FUNCTION dawdle()"
        )
    is_set(postgres_url, statement_timeout="'300ms'")
    backend = PostgresBackend(postgres_url)
    yield backend
    backend.close()


def begin() -> Operation[int]:
    from pgqueue.jobs.graphs import Workflow

    return operations.begin(Workflow("w", [a_job()]))


def test_who_asks_for_too_much_is_told_which_setting_it_is(limited: PostgresBackend) -> None:
    began = monotonic()
    with pytest.raises(StatementTimeout, match=MESSAGE):
        limited.execute(begin())
    with pytest.raises(StatementTimeout, match=MESSAGE), limited.transaction() as runner:
        runner.execute(begin())
    assert monotonic() - began < 10 * 0.3  # not tried again


async def test_so_is_who_asks_from_an_event_loop(limited: PostgresBackend) -> None:
    with pytest.raises(StatementTimeout, match=MESSAGE):
        await limited.execute_async(begin())
    with pytest.raises(StatementTimeout, match=MESSAGE):
        async with limited.transaction_async() as runner:
            await runner.execute(begin())
    await limited.close_async()


def test_what_somebody_cancels_is_tried_again(postgres_url: str) -> None:
    """The SQLSTATE is the same."""
    is_set(postgres_url, statement_timeout="'10min'")
    backend = PostgresBackend(postgres_url)
    store = Store(backend)
    id = store.add()
    tried = 0

    def cancelled() -> bool:
        nonlocal tried
        with psycopg.connect(postgres_url, autocommit=True) as owner:
            rows = owner.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            ).fetchall()
        tried += len(rows)
        return tried > 0

    async def both() -> None:
        with psycopg.connect(postgres_url) as holder:
            holder.execute("SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", [id])
            asked = asyncio.create_task(asyncio.to_thread(backend.execute, operations.cancel([id])))
            await asyncio.to_thread(eventually, cancelled)
            holder.rollback()
            await asked

    asyncio.run(both())
    backend.close()
    assert tried
    assert not issubclass(StoreBusy, StatementTimeout)


async def test_a_workers_own_statements_take_the_time_they_take(
    limited: PostgresBackend, postgres_url: str
) -> None:
    """Else a leader would begin again for ever what takes longer."""
    app = App(postgres_url)

    @app.task
    async def ring() -> None:
        return

    with psycopg.connect(postgres_url) as owner:
        owner.execute(
            "CREATE TRIGGER dawdles BEFORE UPDATE ON pgqueue.job "
            "FOR EACH STATEMENT EXECUTE FUNCTION dawdle()"
        )
    worker = Worker(app, Options(queues="default"))
    handle = await app.enqueue_async(ring.job())
    running = asyncio.create_task(worker.run())
    job = await ended(app, handle)
    worker.stop()
    await running
    await app.close_async()
    app.close()

    assert (job.state, job.attempt) == ("completed", 1)
