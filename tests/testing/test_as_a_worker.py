"""A job that was drained is the row that a worker would have left."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pgqueue import App, Context, Discard, Retry, Snooze, enqueue, execute
from pgqueue.errors import JobCancelled
from pgqueue.jobs.job import Job, NewJob
from pgqueue.jobs.retries import Constant
from pgqueue.operations import inspections
from pgqueue.testing import Jobs
from pgqueue.worker import Options, Worker


def oddities(app: App) -> list[NewJob[Any]]:  # noqa: C901 - a branch for each way
    """A job for each way in which an attempt ends."""

    @app.task(retry=Constant(60))
    def way(ctx: Context, how: str) -> Any:
        ctx.progress(0.5, note=how, checkpoint=how)
        match how:
            case "result":
                return {"a": [1, None]}
            case "nothing":
                return None
            case "object":
                return object()
            case "raise":
                raise ValueError("no")
            case "exit":
                raise SystemExit(3)
            case "cancelled":
                raise JobCancelled("not wanted")
            case "snooze":
                return Snooze(60)
            case "snooze now":
                return Snooze(0)
            case "retry":
                return Retry(60, "later")
            case "retry by policy":
                return Retry()
            case "discard":
                return Discard("never\x00")
            case "transaction":
                with ctx.transaction():
                    ctx.result = 7
            case "jobs":
                ctx.enqueue(NewJob("elsewhere", queue="other"))
        return how

    @app.task(max_attempts=1)
    async def coroutine(how: str) -> Any:
        if how == "itself":
            raise asyncio.CancelledError
        return await asyncio.sleep(0, how)

    @app.task(timeout=0.01, retry=lambda attempt, error: None)
    async def endless() -> None:
        await asyncio.Event().wait()

    hows = [
        *("result", "nothing", "object", "raise", "exit", "cancelled", "snooze"),
        *("retry", "retry by policy", "discard", "transaction", "jobs"),
    ]
    return [
        *(way.job(how) for how in hows),
        way.job("raise").options(max_attempts=1),
        coroutine.job("itself"),
        coroutine.job("x"),
        endless.job(),
        NewJob("way", args='{"what": 1}'),
    ]


@pytest.mark.timeout(120)
async def test_leaves_what_a_worker_leaves(postgres_url: str) -> None:
    app = App(postgres_url)
    handles = app.enqueue(oddities(app))
    worker = Worker(app, Options(queues="default", drain=True))
    await worker.run()
    by_worker = app.execute(inspections.get(handles))
    others = app.execute(inspections.list_jobs(queue="other"))
    await app.close_async()
    app.close()

    def drained() -> None:
        with psycopg.connect(postgres_url) as connection:
            again = enqueue(connection, oddities(app))
            Jobs(app, connection).drain(queue="default", recursive=False, raising=False)
            found = execute(connection, inspections.get(again))
            for one, other in zip(handles, again, strict=True):
                assert told(found[other.id]) == told(by_worker[one.id])
            assert (
                len(execute(connection, inspections.list_jobs(queue="other")))
                == 2
                == 1 + len(others)
            )
            connection.rollback()

    await asyncio.to_thread(drained)


def told(job: Job) -> dict[str, Any]:
    """What of a job does not depend on when and by whom it was run."""
    return {
        "args": job.args,
        "state": job.state,
        "attempt": job.attempt,
        "reason": job.reason,
        "result": job.result,
        "errors": [(error.attempt, error.type, error.message) for error in job.errors],
        "progress": job.progress,
        "waits": round((job.run_at - job.enqueued_at).total_seconds(), -1),
    }
