"""Acting on many jobs in the application's own transaction, and beside others at work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pgqueue import App, Filter, cancel, enqueue, retry
from pgqueue.jobs.job import State
from pgqueue.operations import acting, inspections
from pgqueue.operations.choosing import PORTION
from tests.cli.many import Watch

# A second, where nothing else runs. Other tests run beside the smaller one.
MANY, LONGEST_SECONDS = (100_000, 1.0) if os.environ.get("PGQUEUE_SLOW") else (6_000, 5.0)


@pytest.fixture
async def session(postgres_url: str) -> AsyncIterator[AsyncSession]:
    engine = create_async_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


def counts(app: App) -> dict[str, int]:
    """How many jobs there are in each state."""
    jobs = app.execute(inspections.list_jobs(limit=10_000))
    return {str(s): n for s in State if (n := sum(job.state == s for job in jobs))}


def fill(app: App, count: int, queue: str = "default") -> None:
    """That many jobs."""

    @app.task(name=f"task-{queue}", queue=queue, max_attempts=1)
    def task(n: int) -> None: ...

    for start in range(0, count, 5_000):
        app.enqueue([task.job(n) for n in range(start, min(count, start + 5_000))])


def test_a_rollback_undoes_a_cancellation(app: App, postgres_url: str) -> None:
    fill(app, 1_500)
    with psycopg.connect(postgres_url) as connection:
        on_portion = cancel(connection, Filter(queue="default"), reason="a mistake")
        assert on_portion.counts == {"cancelled": 1_500}
        connection.rollback()
    assert counts(app) == {"available": 1_500}

    with psycopg.connect(postgres_url) as connection:
        cancel(connection, Filter(args={"n": 7}))
    assert counts(app) == {"available": 1_499, "cancelled": 1}


def test_by_ids_too_and_through_sqlalchemy(app: App, postgres_url: str) -> None:
    fill(app, 3)
    ids = [job.id for job in app.jobs.list(Filter())]
    engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    with Session(engine) as session, session.begin():
        assert cancel(session, ids[:2]).answers == dict.fromkeys(ids[:2], "cancelled")
        assert retry(session, Filter(state="cancelled")).counts == {"available": 2}
        cancel(session, [ids[2]])
    engine.dispose()

    assert counts(app) == {"available": 2, "cancelled": 1}


async def test_an_async_session_is_awaited(app: App, session: AsyncSession) -> None:
    fill(app, 3)
    async with session.begin():
        on_portion = await cancel(session, Filter(state="available"))
        assert on_portion.counts == {"cancelled": 3}
    async with session.begin():
        assert (await retry(session, Filter(state="cancelled"))).counts == {"available": 3}

    assert counts(app) == {"available": 3}


async def test_what_has_just_been_enqueued_is_meant_as_well(
    app: App, session: AsyncSession
) -> None:
    @app.task
    def task() -> None: ...

    async with session.begin():
        await enqueue(session, task.job())
        assert (await cancel(session, Filter(task=task.name))).counts == {"cancelled": 1}


async def test_async_verbs_of_an_app(app: App) -> None:
    fill(app, 4)
    try:
        assert (await app.jobs.count_async(Filter())) == (4, True)
        assert (await app.jobs.move_async(Filter(), "mail")).counts == {"available": 4}
        assert (await app.jobs.reprioritise_async(Filter(), -3)).counts == {"available": 4}
        first, *_ = await app.jobs.list_async(Filter(queue="mail"))
        assert first.priority == -3
        assert (await app.jobs.cancel_async(Filter())).counts == {"cancelled": 4}
        assert (await app.jobs.retry_async([first])).counts == {"available": 1}
        assert (await app.jobs.release_async(Filter())).counts == {}
        assert (await app.jobs.purge_async(Filter())).counts == {"purged": 3}
    finally:
        await app.close_async()


class Enough(Exception):
    """An interruption."""


@pytest.mark.timeout(600)
def test_many_are_cancelled_retried_and_purged_beside_others(app: App, postgres_url: str) -> None:
    """Each by one call, interrupted once and repeated: the counts are exact, no transaction takes
    long, and whoever enqueues meanwhile is not held up. PGQUEUE_SLOW=1 takes 100,000."""
    fill(app, MANY, "many")
    many = Filter(queue="many")
    seen: list[int] = []

    def on_portion(answers: object) -> None:
        seen.append(len(answers))  # type: ignore[arg-type]
        if len(seen) == 2:
            raise Enough

    def retry_cancelled(which: Filter, on_portion: Any = None) -> acting.Acted:
        return app.jobs.retry(Filter(queue=which.queue, state="cancelled"), on_portion=on_portion)

    took = {}
    with Watch(app, postgres_url) as watch:
        acts: tuple[tuple[Any, str | None], ...] = (
            (app.jobs.cancel, "cancelled"),
            (
                lambda which, on_portion=None: app.jobs.retry(
                    Filter(queue="many", state="cancelled"), on_portion=on_portion
                ),
                "available",
            ),
            (app.jobs.cancel, "cancelled"),
            (app.jobs.purge, None),
        )
        for act, state in acts:
            seen.clear()
            began = monotonic()
            with pytest.raises(Enough):
                act(many, on_portion=on_portion)
            done = sum(seen)
            assert done == 2 * PORTION
            rest = act(many)
            took[f"{state or 'purged'}"] = MANY / (monotonic() - began)
            assert len(rest.answers) == MANY - done
            left = app.jobs.count(Filter(queue="many", state=state), most=MANY + 1)
            assert left == ((MANY if state else 0), True)

    print({name: f"{rate:,.0f}/s" for name, rate in took.items()}, f"longest {watch.longest:.3f} s")
    print(f"slowest of {watch.enqueued:,} enqueues: {watch.slowest:.3f} s")
    assert watch.longest < LONGEST_SECONDS
    assert watch.slowest < LONGEST_SECONDS
    assert watch.enqueued > 20
    assert app.jobs.count(Filter(queue="other"), most=1_000_000) == (watch.enqueued, True)


async def test_a_call_that_is_cancelled_has_done_some_portions(app: App) -> None:
    fill(app, 5_000)
    asked = asyncio.Event()
    task = asyncio.create_task(
        app.jobs.cancel_async(Filter(), on_portion=lambda answers: asked.set())
    )
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    some = app.jobs.count(Filter(state="cancelled")).jobs
    assert 0 < some < 5_000
    assert some % acting.PORTION == 0
    await app.jobs.cancel_async(Filter())
    assert app.jobs.count(Filter(state="cancelled")).jobs == 5_000
    await app.close_async()
