"""The server ends sessions that have nothing to do; a notification that comes then is not lost."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import psycopg
import pytest

from pgqueue import App, enqueue
from tests.worker.conftest import Work, looks_seldom
from tests.worker.process import soon
from tests.worker.store import Store

LISTENS = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2)"
OURS = """
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND pid <> pg_backend_pid()
"""
TERMINATE = f"SELECT count(pg_terminate_backend(pid, 5000)) {OURS}"


@pytest.mark.parametrize(
    "spared", [f" AND NOT {LISTENS}", f" AND {LISTENS}", ""], ids=["others", "ear", "all"]
)
async def test_a_job_is_found_at_once_when_sessions_were_ended_while_they_were_idle(
    spared: str, app: App, work: Work, store: Store
) -> None:
    """The session that listens or the others or all, time and again."""

    rang = asyncio.Event()

    @app.task
    async def ring() -> None:
        rang.set()

    worker = await work(poll_interval=300)
    waited = []
    for _ in range(5):
        await soon(lambda: worker._agents.listener.present)
        await soon(lambda: worker._agents.listener.wakes("default"))
        await looks_seldom(worker)
        assert await asyncio.to_thread(store.value, TERMINATE + spared)
        rang.clear()
        with psycopg.connect(store.url) as connection:
            enqueue(connection, ring.job())
            since = monotonic()
        await asyncio.wait_for(rang.wait(), 60)
        waited.append(monotonic() - since)
    print(f"found after {', '.join(f'{seconds:.2f}' for seconds in waited)} s")
    assert sorted(waited)[3] < 1  # a busy machine may be late once


async def test_an_idle_session_timeout_does_not_end_a_workers_sessions(
    app: App, work: Work, store: Store
) -> None:
    """It is there for those who have forgotten theirs."""
    with psycopg.connect(store.url, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f"ALTER DATABASE {name} SET idle_session_timeout = '300ms'".encode())
    worker = await work(poll_interval=300)
    session: Any = worker._agents.listener._session
    connections: list[Any] = [
        worker._agents.claims.connection,
        worker._agents.completions.connection,
        session._connection,
    ]
    pids = [worker_connection.connection.info.backend_pid for worker_connection in connections]
    await looks_seldom(worker)

    with psycopg.connect(store.url, autocommit=True) as forgotten:
        pid = forgotten.info.backend_pid
        await soon(
            lambda: store.value(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}") == 0
        )

    alive = await asyncio.to_thread(
        store.value, "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%s)", pids
    )
    assert alive == 3
