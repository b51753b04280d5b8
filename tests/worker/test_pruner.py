"""The Pruner has a line of its own: what tidies up, however long, is in nobody's way."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic

import psycopg
import pytest

from pgqueue import App
from pgqueue.worker.agents import pruner
from tests.worker.conftest import Work
from tests.worker.process import soon
from tests.worker.store import Store, ended

# Completed jobs that are past their retention, and a row that takes its time to be deleted.
SLOW = """
    CREATE FUNCTION takes_long() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(12); RETURN OLD; END $$;
    CREATE TRIGGER takes_long BEFORE DELETE ON pgqueue.archive_completed_default
    FOR EACH STATEMENT EXECUTE FUNCTION takes_long();
    INSERT INTO pgqueue.archive (id, run_at, enqueued_at, finished_at, priority, attempt,
                                 max_attempts, rescues, state, queue, task, args)
    VALUES (1000000, '2020-01-01', '2020-01-01', '2020-01-01', 0, 1, 1, 0, 'completed', 'default',
            'old', '{}');
"""
AT_WORK = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
FORBIDDEN = """
    CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no DDL here'; END $$;
    CREATE EVENT TRIGGER no_create ON ddl_command_start EXECUTE FUNCTION forbid();
"""


async def test_neither_due_jobs_nor_a_term_wait_for_a_prune(
    app: App, work: Work, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def ring() -> None: ...

    with psycopg.connect(store.url, autocommit=True) as somebody:
        somebody.execute(SLOW.encode())
        await work(term=9)
        await soon(lambda: somebody.execute(AT_WORK.encode()).fetchone() == (1,))

        since = monotonic()
        late = ring.job().options(delay=timedelta(seconds=1))
        await ended(app, await app.enqueue_async(late))

        assert monotonic() - since < 6
        assert "no longer leads" not in caplog.text
        assert somebody.execute(AT_WORK.encode()).fetchone() == (1,)


async def test_what_is_in_the_way_of_a_prune_is_said_once(
    app: App, work: Work, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(store.url, autocommit=True) as somebody:
        somebody.execute(FORBIDDEN.encode())
    await work()

    await soon(lambda: "prune of discarded jobs: no DDL here" in caplog.text)
    assert caplog.text.count("prune of completed jobs: no DDL here") == 1
    assert "Traceback" not in caplog.text


async def test_edges_are_looked_at_some_at_a_time_until_all_were_seen(
    app: App, work: Work, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruner, "TRIM_PORTIONS", 1)
    monkeypatch.setattr(pruner, "BLOCKED_SECONDS", 0.2)
    with psycopg.connect(store.url, autocommit=True) as somebody:
        somebody.execute(
            "INSERT INTO pgqueue.dependency SELECT 2 * n, 2 * n + 1, 'run', 'completed'"
            " FROM generate_series(1000000, 1012000) AS n"
        )
        left = "SELECT count(*) FROM pgqueue.dependency"
        seen: set[int] = set()

        def look() -> bool:
            seen.add(int(store.value(left)))
            return 0 in seen

        await work()
        await soon(look)

    assert len(seen) > 2
