"""`drain`: what waits on the test's connection runs there, by the operations of a worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgqueue import App, Context, chain, enqueue, execute, group
from pgqueue.errors import PgqueueError, UnknownTask
from pgqueue.jobs.job import Job, NewJob, State
from pgqueue.operations import inspections
from pgqueue.testing import AsyncJobs, Jobs

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def job(jobs: Jobs, handle: Any) -> Job:
    found: Job
    [found] = execute(jobs._connection, inspections.get([handle])).values()
    return found


def seen(app: App) -> list[Any]:
    found: list[Any] = app.seen  # type: ignore[attr-defined]
    return found


def test_runs_plain_functions_and_coroutines_to_their_end(
    app: App, jobs: Jobs, connection: Any
) -> None:
    sent = enqueue(connection, app.tasks["send_receipt"].job(7))
    counted = enqueue(connection, app.tasks["count"].job(1))

    ran = jobs.drain()

    assert {each.id: each.result for each in ran} == {sent.id: "receipt 7", counted.id: 2}
    assert job(jobs, sent).state == State.COMPLETED
    assert job(jobs, counted).result == 2
    assert jobs.enqueued() == []


def test_runs_children_and_what_jobs_enqueue(app: App, jobs: Jobs, connection: Any) -> None:
    place, count = app.tasks["place"], app.tasks["count"]
    _ = enqueue(connection, chain(group([place.job(1), place.job(2)]), count.job(3)))

    jobs.drain()

    assert sorted(seen(app)) == [
        ("count", 3),
        ("place", 1),
        ("place", 2),
        ("send_receipt", 1),
        ("send_receipt", 2),
    ]
    assert seen(app).index(("count", 3)) > 1


def test_not_recursive_runs_what_is_due_at_the_beginning_once(
    app: App, jobs: Jobs, connection: Any
) -> None:
    enqueue(connection, app.tasks["place"].job(1))

    jobs.drain(recursive=False)

    assert seen(app) == [("place", 1)]
    assert jobs.assert_enqueued(app.tasks["send_receipt"], order_id=1).state == State.AVAILABLE


def test_drains_one_queue_alone(app: App, jobs: Jobs, connection: Any) -> None:
    enqueue(connection, app.tasks["send_receipt"].job(1), app.tasks["count"].job(1))

    jobs.drain(queue="mail")

    assert seen(app) == [("send_receipt", 1)]


def test_an_error_is_raised_when_its_attempt_is_recorded(
    app: App, jobs: Jobs, connection: Any
) -> None:
    handle = enqueue(connection, app.tasks["flaky"].job(5))

    with pytest.raises(ConnectionError, match="attempt 1"):
        jobs.drain()

    failed = job(jobs, handle)
    assert (failed.state, failed.attempt) == (State.RETRYABLE, 1)
    assert [error.type for error in failed.errors] == ["ConnectionError"]


def test_retries_are_reached_by_the_clock(app: App, jobs: Jobs, connection: Any) -> None:
    handle = enqueue(connection, app.tasks["flaky"].job(3))
    before = datetime.now(UTC)

    ran = jobs.drain(raising=False)

    assert [each.state for each in ran] == [State.RETRYABLE, State.RETRYABLE, State.COMPLETED]
    assert [each.wait for each in ran] == [timedelta(seconds=60)] * 2 + [None]
    assert job(jobs, handle).result == 3
    assert jobs.clock.now() >= before + timedelta(seconds=119)


def test_a_job_out_of_attempts_is_discarded(app: App, jobs: Jobs, connection: Any) -> None:
    handle = enqueue(connection, app.tasks["flaky"].job(9))

    ran = jobs.drain(raising=False)

    assert [each.state for each in ran][-1] == State.DISCARDED
    assert job(jobs, handle).state == State.DISCARDED
    assert len(job(jobs, handle).errors) == 3


def test_what_is_scheduled_stays_unless_asked_for(app: App, jobs: Jobs, connection: Any) -> None:
    count = app.tasks["count"]
    enqueue(connection, count.job(1).options(delay=3600), count.job(2).options(delay=7200))

    assert jobs.drain() == []
    assert [each.result for each in jobs.drain(scheduled=timedelta(minutes=90))] == [2]
    assert [each.result for each in jobs.drain(scheduled=timedelta(hours=3))] == [3]


def test_travelling_makes_jobs_due(app: App, jobs: Jobs, connection: Any) -> None:
    with jobs.bound():
        jobs.clock.travel(NOON)
        handle = app.enqueue(app.tasks["count"].job(1).options(delay=3600))
        assert job(jobs, handle).run_at == NOON + timedelta(hours=1)
        jobs.clock.tick(3599)
        assert jobs.drain() == []
        jobs.clock.tick(1)
        assert len(jobs.drain()) == 1
    assert job(jobs, handle).finished_at == NOON + timedelta(hours=1)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("snooze", State.SCHEDULED),
        ("cancel", State.CANCELLED),
        ("discard", State.DISCARDED),
        ("retry", State.RETRYABLE),
    ],
)
def test_outcomes_do_what_a_worker_does(
    app: App, jobs: Jobs, connection: Any, kind: str, state: State
) -> None:
    handle = enqueue(connection, app.tasks["outcome"].job(kind))

    [ran] = jobs.drain(recursive=False)

    assert (ran.state, job(jobs, handle).state) == (state, state)
    assert jobs.app.tasks["outcome"] is app.tasks["outcome"]


def test_an_error_undoes_what_its_task_did_on_the_connection_and_nothing_else(
    app: App, jobs: Jobs, connection: Any
) -> None:
    @app.task(max_attempts=1)
    def half(order_id: int) -> None:
        enqueue(connection, app.tasks["count"].job(order_id))
        raise ValueError("half way")

    enqueue(connection, app.tasks["send_receipt"].job(1).options(delay=60))
    handle = enqueue(connection, half.job(7))

    [ran] = jobs.drain(raising=False)

    assert isinstance(ran.error, ValueError)
    assert job(jobs, handle).state == State.DISCARDED
    jobs.refute_enqueued(app.tasks["count"])
    jobs.assert_enqueued(app.tasks["send_receipt"], order_id=1)


def test_a_task_completes_its_job_in_the_transaction(app: App, jobs: Jobs, connection: Any) -> None:
    @app.task
    def finishes(ctx: Context, n: int) -> Any:
        with ctx.transaction() as driver:
            driver.execute("SELECT 1")
            ctx.enqueue(app.tasks["count"].job(n))
            ctx.result = n

    handle = enqueue(connection, finishes.job(7))

    ran = jobs.drain()

    assert [each.result for each in ran] == [7, 8]
    assert job(jobs, handle).result == 7


def test_progress_and_checkpoints_are_kept_for_the_next_attempt(
    app: App, jobs: Jobs, connection: Any
) -> None:
    @app.task(retry=60.0)
    def steps(ctx: Context) -> int:
        done: int = ctx.checkpoint or 0
        ctx.progress(0.5, checkpoint=done + 1)
        if done < 2:
            raise ValueError(done)
        return done

    handle = enqueue(connection, steps.job())

    assert jobs.drain(raising=False)[-1].result == 2
    progress = job(jobs, handle).progress
    assert progress is not None
    assert progress.checkpoint == 3


def test_a_task_that_is_not_known_is_an_error(app: App, jobs: Jobs, connection: Any) -> None:
    handle = enqueue(connection, NewJob("who"))

    with pytest.raises(UnknownTask):
        jobs.drain()

    assert job(jobs, handle).state == State.AVAILABLE


def test_a_job_that_begets_itself_is_not_run_for_ever(app: App, postgres_url: str) -> None:
    import pgqueue.testing.draining as module

    @app.task
    def again(ctx: Context) -> None:
        ctx.enqueue(again.job())

    before, module.MOST_ATTEMPTS = module.MOST_ATTEMPTS, 5  # type: ignore[misc]
    try:
        with psycopg.connect(postgres_url) as connection:
            enqueue(connection, again.job())
            with pytest.raises(PgqueueError, match="no end"):
                Jobs(app, connection).drain()
            connection.rollback()
    finally:
        module.MOST_ATTEMPTS = before  # type: ignore[misc]


def test_nothing_is_left_after_a_rollback(app: App, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        enqueue(connection, app.tasks["send_receipt"].job(1))
        Jobs(app, connection).drain()
        connection.rollback()
        assert execute(connection, inspections.list_jobs()) == []
        assert execute(connection, inspections.workers()) == []


async def test_runs_everything_in_the_loop_of_an_asyncio_connection(
    app: App, async_jobs: AsyncJobs, async_connection: Any
) -> None:
    @app.task
    async def finishes(ctx: Context, n: int) -> Any:
        async with ctx.transaction() as driver:
            await driver.execute("SELECT 1")
            ctx.enqueue(app.tasks["count"].job(n))
            ctx.result = n

    count, send = app.tasks["count"], app.tasks["send_receipt"]
    await enqueue(async_connection, chain(finishes.job(7), send.job(1)))
    await enqueue(async_connection, app.tasks["flaky"].job(2))

    with pytest.raises(ConnectionError):
        await async_jobs.drain()
    await async_jobs.drain(raising=False)

    assert {("send_receipt", 1), ("flaky", 1), ("flaky", 2), ("count", 7)} == set(seen(app))
    await async_jobs.refute_enqueued()
    await enqueue(async_connection, count.job(5))
    assert (await async_jobs.assert_enqueued(count, n=5)).state == State.AVAILABLE


async def test_a_coroutine_is_refused_by_blocking_jobs_inside_a_loop(
    app: App, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url) as connection:
        enqueue(connection, app.tasks["count"].job(1))
        with pytest.raises(PgqueueError, match="AsyncJobs"):
            Jobs(app, connection).drain()
        assert [each.result for each in await AsyncJobs(app, connection).drain(raising=False)] == []
        connection.rollback()
