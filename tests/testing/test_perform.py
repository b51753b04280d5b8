"""`perform`: one attempt without a database, through JSON and the retry policy."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from pgqueue import PARENT, App, Context, Result
from pgqueue.errors import InvalidArguments, InvalidResult, PgqueueError, ResultNotSerialisable
from pgqueue.jobs.job import State
from pgqueue.testing import AsyncJobs, Jobs


@pytest.fixture
def alone(app: App) -> Jobs:
    return Jobs(app)


def test_returns_the_result_through_json(app: App, alone: Jobs) -> None:
    @app.task
    def pair(n: int) -> Any:
        return (n, n + 1)

    assert alone.perform(pair.job(1)).result == [1, 2]
    assert alone.perform(app.tasks["count"].job(1)).result == 2


def test_an_attempt_that_fails_says_what_becomes_of_the_job(app: App, alone: Jobs) -> None:
    flaky = app.tasks["flaky"]

    second, last, fine = (
        alone.perform(flaky.job(n), attempt=a) for n, a in [(9, 2), (9, 3), (3, 3)]
    )

    assert (second.state, second.wait) == (State.RETRYABLE, timedelta(seconds=60))
    assert isinstance(second.error, ConnectionError)
    assert (last.state, last.wait) == (State.DISCARDED, None)
    assert (fine.state, fine.result) == (State.COMPLETED, 3)
    with pytest.raises(ConnectionError, match="attempt 2"):
        second.result  # noqa: B018


@pytest.mark.parametrize(
    ("kind", "state", "wait", "reason"),
    [
        ("snooze", State.SCHEDULED, timedelta(hours=2), None),
        ("cancel", State.CANCELLED, None, "not wanted"),
        ("discard", State.DISCARDED, None, "hopeless"),
        ("retry", State.RETRYABLE, timedelta(seconds=30), "Retry: later"),
    ],
)
def test_outcomes_are_values(
    app: App, alone: Jobs, kind: str, state: State, wait: timedelta | None, reason: str | None
) -> None:
    done = alone.perform(app.tasks["outcome"].job(kind))

    assert (done.state, done.wait, done.reason) == (state, wait, reason)
    with pytest.raises(PgqueueError, match=state.value):
        done.result  # noqa: B018


def test_a_context_has_what_the_job_has(app: App, alone: Jobs) -> None:
    @app.task
    def asks(ctx: Context, left: Result[int] = PARENT) -> list[Any]:
        ctx.progress(0.5, checkpoint=ctx.checkpoint + 1)
        ctx.enqueue(app.tasks["count"].job(left))
        return [ctx.attempt, ctx.metadata, list(ctx.tags), ctx.queue]

    job = asks.job().options(queue="slow", tags=["t"], metadata={"by": "me"})
    done = alone.perform(job, attempt=4, parents={"left": 3}, checkpoint=1)

    assert done.result == [4, {"by": "me"}, ["t"], "slow"]
    assert [job.args for job in done.jobs] == ['{"n":3}']
    assert done.progress.checkpoint == 2


def test_a_result_that_cannot_be_kept_fails_the_attempt(app: App, alone: Jobs) -> None:
    @app.task
    def bad() -> Any:
        return object()

    @app.task
    def other() -> int:
        return "seven"  # type: ignore[return-value]

    assert isinstance(alone.perform(bad.job()).error, ResultNotSerialisable)
    with pytest.raises(InvalidResult):
        alone.perform(other.job()).result  # noqa: B018


def test_arguments_are_those_that_survive_json(app: App, alone: Jobs) -> None:
    @app.task
    def untyped(at: Any) -> str:
        return str(at.isoformat())

    done = alone.perform(untyped.job(datetime(2030, 1, 1)))  # noqa: DTZ001

    assert isinstance(done.error, AttributeError)
    with pytest.raises(InvalidArguments):
        app.tasks["count"].job("7")


def test_a_timeout_fails_the_attempt(app: App, alone: Jobs) -> None:
    @app.task(timeout=0.01)
    async def slow() -> None:
        await asyncio.Event().wait()

    done = alone.perform(slow.job())

    assert isinstance(done.error, TimeoutError)
    assert done.state == State.RETRYABLE


def test_what_is_not_the_tasks_failure_goes_up(app: App, alone: Jobs) -> None:
    @app.task
    def interrupted() -> None:
        raise KeyboardInterrupt

    @app.task
    def fails() -> None:
        pytest.fail("in a task")

    with pytest.raises(KeyboardInterrupt):
        alone.perform(interrupted.job())
    with pytest.raises(pytest.fail.Exception):
        alone.perform(fails.job())


def test_without_a_connection_nothing_else_works(app: App, alone: Jobs) -> None:
    with pytest.raises(PgqueueError, match="Jobs\\(app, connection\\)"):
        alone.drain()


async def test_performs_in_a_loop(app: App) -> None:
    jobs = AsyncJobs(app)

    assert (await jobs.perform(app.tasks["count"].job(1))).result == 2
    with pytest.raises(PgqueueError, match="AsyncJobs"):
        Jobs(app).perform(app.tasks["count"].job(1))
    with pytest.raises(PgqueueError, match="Jobs\\(app, connection\\)"):
        await jobs.drain()
