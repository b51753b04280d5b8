"""Rows that somebody's open transaction holds, and outcomes that the store refuses: whose job it is
waits, and nobody else's notices."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import Any

import psycopg
import pytest

from pgqueue import App, Context, Discard, Snooze
from pgqueue.jobs.job import State
from pgqueue.jobs.retries import Never
from tests.worker.conftest import Start, Work
from tests.worker.process import Shop, eventually, soon
from tests.worker.shop import pack
from tests.worker.store import Store, becomes, ended

OTHERS_SECONDS = 5.0  # for a hundred others; alone they take half a second
REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE SQLSTATE 'XX000' USING MESSAGE = 'not this one'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW
        WHEN ({when}) EXECUTE FUNCTION refuse()
"""


@contextmanager
def held(store: Store, query: str, *params: Any) -> Iterator[None]:
    """The rows of *query* are locked meanwhile by a transaction of somebody else's."""
    with psycopg.connect(store.url) as connection:
        connection.execute(query.encode(), params)
        yield


async def take(app: App, jobs: list[Any]) -> float:
    """How long it takes until *jobs*, enqueued now, have ended."""
    since = monotonic()
    for handle in await app.enqueue_async(jobs):
        await ended(app, handle)
    return monotonic() - since


async def test_parents_of_a_child_that_is_held_hold_up_nobody(
    app: App, work: Work, store: Store
) -> None:
    gate = asyncio.Event()
    runs: list[int] = []

    @app.task
    async def parent(ctx: Context) -> None:
        await gate.wait()
        runs.append(ctx.id)

    @app.task
    async def other() -> None: ...

    parents = await app.enqueue_async([parent.job() for _ in range(30)])
    child = await app.enqueue_async(other.job().after(*parents))
    await work(concurrency=50)
    for handle in parents:
        await becomes(app, handle, State.RUNNING)

    with held(store, "SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", child.id):
        gate.set()
        longest = [await take(app, [other.job() for _ in range(20)]) for _ in range(20)]
        print(f"twenty others took {max(longest):.2f} s at most")
        assert sum(longest) < OTHERS_SECONDS
        assert {job.state for job in store.jobs(parents)} == {State.RUNNING}

    for handle in [*parents, child]:
        job = await ended(app, handle)
        assert (job.state, job.attempt) == (State.COMPLETED, 1)
    assert sorted(runs) == sorted(handle.id for handle in parents)


async def test_a_worker_whose_row_is_held_still_hears_of_a_cancellation(
    app: App, work: Work, store: Store
) -> None:
    @app.task
    async def long() -> None:
        await asyncio.Event().wait()

    handle = await app.enqueue_async(long.job())
    await work()
    await becomes(app, handle, State.RUNNING)

    with held(store, "SELECT FROM pgqueue.worker FOR UPDATE"):
        await asyncio.to_thread(app.jobs.cancel, [handle])
        assert (await ended(app, handle, within=OTHERS_SECONDS)).state == State.CANCELLED


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        pytest.param(lambda: None, State.COMPLETED, id="completes"),
        pytest.param(lambda: Discard("no"), State.DISCARDED, id="is discarded"),
        pytest.param(lambda: Snooze(3600), State.SCHEDULED, id="is handed back"),
        pytest.param(lambda: 1 / 0, State.DISCARDED, id="fails for good"),
    ],
)
@pytest.mark.parametrize(
    "rows",
    [
        pytest.param("SELECT FROM pgqueue.job WHERE id = %(job)s FOR UPDATE", id="itself"),
        pytest.param("SELECT FROM pgqueue.job WHERE id = %(job)s FOR KEY SHARE", id="as a parent"),
        pytest.param("SELECT FROM pgqueue.job WHERE id = %(child)s FOR UPDATE", id="its child"),
        pytest.param("SELECT FROM pgqueue.job WHERE id = %(last)s FOR UPDATE", id="a grandchild"),
        pytest.param(
            "SELECT FROM pgqueue.dependency WHERE parent_id = %(job)s FOR UPDATE", id="its edge"
        ),
        pytest.param("LOCK TABLE pgqueue.dependency IN EXCLUSIVE MODE", id="a table"),
    ],
)
async def test_whatever_is_held_of_a_job_holds_up_no_other(
    app: App, work: Work, store: Store, ends: Any, state: State, rows: str
) -> None:
    gate = asyncio.Event()

    @app.task(retry=Never())
    async def job() -> Any:
        await gate.wait()
        return ends()

    @app.task
    async def other() -> None: ...

    jobs = await app.enqueue_async([job.job() for _ in range(3)])
    child = await app.enqueue_async(other.job().after(jobs[0]))
    last = await app.enqueue_async(other.job().after(child))
    await work(concurrency=50)
    for handle in jobs:
        await becomes(app, handle, State.RUNNING)
    names = {"job": jobs[0].id, "child": child.id, "last": last.id}

    with psycopg.connect(store.url) as connection:
        await asyncio.to_thread(connection.execute, rows.encode(), names)
        gate.set()
        if "LOCK TABLE" not in rows:
            assert await take(app, [other.job() for _ in range(100)]) < OTHERS_SECONDS
            for handle in jobs[1:]:  # which ended in the same batch
                await becomes(app, handle, state, within=OTHERS_SECONDS)

    for handle in jobs:
        assert (await becomes(app, handle, state)).attempt == (0 if state == "scheduled" else 1)
    if state in (State.COMPLETED, State.DISCARDED):
        expected = State.COMPLETED if state == State.COMPLETED else State.CANCELLED
        for handle in (child, last):
            assert (await ended(app, handle)).state == expected


async def test_a_unique_key_that_is_not_committed_holds_up_no_other_job_with_children(
    app: App, work: Work, store: Store
) -> None:
    @app.task
    async def child() -> None: ...

    @app.task
    async def parent(ctx: Context, key: str | None = None) -> None:
        ctx.enqueue(child.job().options(unique=key))

    await work(concurrency=50)
    with psycopg.connect(store.url) as connection:
        connection.execute("SELECT pgqueue.enqueue('nobody', queue => 'none', unique_key => 'k')")
        waiting = await app.enqueue_async([parent.job("k") for _ in range(10)])
        for handle in waiting:
            await becomes(app, handle, State.RUNNING)

        assert await take(app, [parent.job() for _ in range(50)]) < OTHERS_SECONDS
        connection.rollback()

    for handle in waiting:
        job = await ended(app, handle)
        assert (job.state, job.attempt) == (State.COMPLETED, 1)


async def test_reports_are_kept_although_the_job_of_one_is_held(
    app: App, work: Work, store: Store
) -> None:
    gate = asyncio.Event()

    @app.task
    async def walk(ctx: Context) -> None:
        ctx.progress(checkpoint=1)
        await gate.wait()
        ctx.progress(checkpoint=2)
        await asyncio.Event().wait()

    @app.task
    async def other() -> None: ...

    def checkpoints() -> list[Any]:
        return [job.progress and job.progress.checkpoint for job in store.jobs(walkers)]

    walkers = await app.enqueue_async([walk.job() for _ in range(5)])
    await work(concurrency=20)
    await soon(lambda: checkpoints() == [1] * 5)

    with held(store, "SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", walkers[0].id):
        gate.set()
        assert await take(app, [other.job()]) < OTHERS_SECONDS / 2
        await soon(lambda: checkpoints() == [1, 2, 2, 2, 2], within=OTHERS_SECONDS)

    await soon(lambda: checkpoints() == [2] * 5)


async def test_the_last_report_of_a_job_that_is_held_is_there_for_its_next_attempt(
    app: App, work: Work, store: Store
) -> None:
    gate = asyncio.Event()
    seen: list[Any] = []

    @app.task(retry=timedelta())
    async def walk(ctx: Context) -> None:
        seen.append(ctx.checkpoint)
        if ctx.attempt == 1:
            await gate.wait()
            ctx.progress(checkpoint="half way")
            raise ValueError("tired")

    @app.task
    async def other() -> None: ...

    walker = await app.enqueue_async(walk.job())
    await work()
    await becomes(app, walker, State.RUNNING)
    with held(store, "SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", walker.id):
        gate.set()
        assert await take(app, [other.job()]) < OTHERS_SECONDS

    assert (await ended(app, walker)).attempt == 2
    assert seen == [None, "half way"]


async def test_an_outcome_that_the_store_refuses_does_not_spoil_the_others(
    app: App, work: Work, store: Store
) -> None:
    gate = asyncio.Event()

    @app.task
    async def ring(n: int) -> int:
        await gate.wait()
        return n

    with psycopg.connect(store.url, autocommit=True) as admin:
        when = "NEW.result IN ('77', '78')"
        admin.execute(REFUSE.format(table="pgqueue.archive_completed", when=when).encode())
    handles = await app.enqueue_async([ring.job(n) for n in range(150)])
    await work(concurrency=200)
    for handle in handles:
        await becomes(app, handle, State.RUNNING)

    since = monotonic()
    gate.set()
    for n, handle in enumerate(handles):
        if n not in (77, 78):
            assert (await ended(app, handle)).attempt == 1
    assert monotonic() - since < OTHERS_SECONDS
    for handle in handles[77:79]:
        job = await becomes(app, handle, State.RETRYABLE)
        assert [error.message for error in job.errors] == ["not this one"]


async def test_what_is_said_about_a_failure_may_be_refused_but_not_how_it_ends(
    app: App, work: Work, store: Store
) -> None:
    @app.task
    async def ring() -> Discard:
        return Discard("poison")

    with psycopg.connect(store.url, autocommit=True) as admin:
        when = "NEW.reason = 'poison'"
        admin.execute(REFUSE.format(table="pgqueue.archive_discarded", when=when).encode())
    await work()

    job = await ended(app, await app.enqueue_async(ring.job()))

    assert (job.state, job.attempt) == (State.DISCARDED, 1)
    assert job.reason == "what it failed with cannot be stored"
    assert [error.message for error in job.errors] == ["not this one"]


def test_the_jobs_of_a_killed_worker_are_rescued_although_its_row_is_held(
    start: Start, store: Store, shop: Shop
) -> None:
    age = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())"
    eventually(lambda: store.value(age) > 10)  # until then nobody is dead
    leader = start(queues="other")
    leader.logs("leads")
    killed = start().started()
    handles = store.enqueue(*[pack.job() for _ in range(5)])
    eventually(lambda: len(shop.marks("start")) == 5)
    start().started()
    row = "SELECT FROM pgqueue.worker WHERE id = %s FOR UPDATE"
    with held(store, row, killed.worker), psycopg.connect(store.url) as other:
        other.execute("SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", [handles[0].id])
        killed.kill()
        killed_at = monotonic()
        eventually(lambda: len(shop.marks("start")) == 9, within=OTHERS_SECONDS)
        print(f"rescued {monotonic() - killed_at:.2f} s after the end of its worker")
        other.rollback()
        eventually(lambda: len(shop.marks("start")) == 10, within=2 * OTHERS_SECONDS)
        shop.open()
        eventually(lambda: store.all_finished(handles))
    assert [(job.attempt, job.rescues) for job in store.jobs(handles)] == [(1, 1)] * 5
    row = "SELECT count(*) FROM pgqueue.worker WHERE id = %s"
    eventually(lambda: store.value(row, killed.worker) == 0)


def test_a_job_that_ended_while_it_was_held_is_not_run_again_after_the_worker_has_stopped(
    start: Start, store: Store, shop: Shop
) -> None:
    handles = store.enqueue(*[pack.job() for _ in range(3)])
    worker = start(grace=30).started()
    eventually(lambda: len(shop.marks("start")) == 3)
    with held(store, "SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", handles[0].id):
        shop.open()
        eventually(lambda: len(shop.marks("end")) == 3)
        worker.send(signal.SIGTERM)
        eventually(lambda: store.all_finished(handles[1:]))
        assert store.job(handles[0]).state == State.RUNNING
    assert worker.ends() == 0

    job = store.job(handles[0])
    assert (job.state, job.attempt, job.rescues) == (State.COMPLETED, 1, 0)
    assert store.value("SELECT count(*) FROM pgqueue.worker") == 0
