"""What type checkers must accept; test_typing runs mypy and pyright on it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

import aiosqlite
import psycopg
import psycopg2.extensions
import redis
import redis.asyncio
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgqueue import PARENT, App, Graph, Result, Results, chain, enqueue, group, map_reduce, workflow
from pgqueue.contrib import django
from pgqueue.jobs.graphs import Workflow
from pgqueue.jobs.job import Handle, Job, NewJob
from pgqueue.jobs.outcomes import Cancel, Retry, Snooze
from pgqueue.jobs.retries import ByException, Constant, Exponential, Never
from pgqueue.tasks.context import Context
from pgqueue.tasks.registry import TaskRegistry
from pgqueue.tasks.task import AsyncTask, SyncTask
from pgqueue.testing import AsyncJobs, Jobs, Performed

app = TaskRegistry()


@app.task
async def bare(order_id: int, *, note: str = "") -> str:
    return note * order_id


@app.task(queue="mail", max_attempts=5, timeout=timedelta(minutes=5), unique="o-{order_id}")
async def with_context(ctx: Context, order_id: int) -> list[int] | Snooze | Cancel:
    ctx.progress(0.5, checkpoint=ctx.checkpoint)
    return [order_id] if ctx.attempt else Snooze(60)


@app.task(executor="process", retry=ByException({TimeoutError: Constant(5)}, otherwise=Never()))
def plain(order_id: int) -> int | None:
    return order_id


@app.task(retry=lambda attempt, error: attempt * 2.0)
def only_context(ctx: Context) -> Retry | None:
    return Retry(5) if ctx.cancelled else None


@app.task
def anything(payload: Any, times: int = 1) -> int:
    return times


patient = app.task(retry=Exponential(base=60))


@patient
def kept() -> None: ...


assert_type(bare.job(1), NewJob[str])
assert_type(bare.job(order_id=1, note="x"), NewJob[str])
assert_type(with_context.job(1), NewJob[list[int]])
assert_type(plain.job(1), NewJob[int | None])
assert_type(only_context.job(), NewJob[None])
anything.job({"a": 1}, times=2)
assert_type(kept.job(), NewJob[None])

assert_type(bare.job(1).options(queue="slow", delay=5), NewJob[str])
assert_type(bare.job(1).after(plain.job(1), Handle[Any](5, "x"), 6), NewJob[str])

assert_type(plain(1), int | None)
assert_type(only_context(), Retry | None)


async def calls() -> None:
    assert_type(await bare(1, note="x"), str)
    assert_type(await with_context(order_id=1), list[int] | Snooze | Cancel)


def takes_tasks(one: AsyncTask[[int], Any], other: SyncTask[..., object]) -> NewJob[object]:
    return one.job(1)


takes_tasks(with_context, plain)


class Blocking:
    def commit(self) -> None: ...


class Async:
    async def commit(self) -> None: ...


async def completes(ctx: Context, blocking: Blocking, asynchronous: Async) -> None:
    ctx.complete(blocking, {"rows": 1})
    await ctx.complete(asynchronous)
    async with ctx.transaction() as connection:
        await connection.execute("...")
    with ctx.transaction() as connection:
        connection.execute("...")
    (child,) = ctx.enqueue(bare.job(1))
    assert_type(child, NewJob[str])
    assert_type(ctx.graft(bare.job(1)), tuple[NewJob[Any], ...])
    assert_type((await ctx.parents)["left"].read(int), int)


@app.task
def report(n: int, left: Result[int] = PARENT, rest: Results[str] = PARENT) -> float:
    assert_type(left, int)
    assert_type(rest, list[str])
    return left / n


assert_type(report.job(7).after(left=plain.job(1), rest=[5, bare.job(1)]), NewJob[float])
assert_type(report(7, left=1), float)
assert_type(group([plain.job(1)]).then(report.job(7)), Graph[float])
assert_type(map_reduce(bare.job, [1, 2], report.job(7)).last, NewJob[float])
assert_type(workflow("flow", chain(bare.job(1), group([plain.job(1)])), [report.job(1)]), Workflow)


def tests(queue: App, connection: psycopg.Connection[Any]) -> None:
    jobs = Jobs(queue, connection)
    assert_type(jobs.assert_enqueued(bare, order_id=1, queue="mail"), Job)
    assert_type(jobs.assert_enqueued(with_context.job(1), within=timedelta(seconds=1)), Job)
    assert_type(jobs.assert_enqueued(bare, count=2), list[Job])
    jobs.refute_enqueued()
    assert_type(jobs.drain(scheduled=timedelta(days=1), raising=False), list[Performed[Any]])
    assert_type(jobs.perform(bare.job(1), attempt=3), Performed[str])
    assert_type(jobs.perform(with_context.job(1)).result, list[int])
    with queue.bound_to(connection), jobs.bound():
        jobs.clock.tick(5)


async def async_tests(queue: App, connection: psycopg.AsyncConnection[Any]) -> None:
    jobs = AsyncJobs(queue, connection)
    assert_type(await jobs.assert_enqueued(bare, order_id=1), Job)
    assert_type(await jobs.assert_enqueued(bare, count=2), list[Job])
    assert_type((await jobs.perform(plain.job(1))).result, int | None)
    await jobs.drain()


async def through_every_kind_of_connection(
    blocking: psycopg2.extensions.connection | Session | redis.Redis,
    asyncio: aiosqlite.Connection | AsyncSession | redis.asyncio.Redis,
) -> None:
    assert_type(enqueue(blocking, bare.job(1)), Handle[str])
    assert_type(await enqueue(asyncio, bare.job(1)), Handle[str])
    assert_type(await enqueue(asyncio, bare.job(1), plain.job(1)), list[Handle[Any]])


@django.task
def as_django_s(order_id: int, note: str = "") -> str:
    return note


@django.task(queue_name="mail", max_attempts=5, backoff=60, unique="o-{order_id}")
async def with_options(order_id: int) -> None: ...


@django.task(takes_context=True)
def with_django_s_context(context: Any, order_id: int) -> int:
    return order_id


async def through_django() -> None:
    made = as_django_s.enqueue(7, note="now")
    with_options.using(after=made, run_after=timedelta(days=1), key="ann").enqueue(order_id=7)
    await with_django_s_context.aenqueue(7)
    assert_type(django.app.result(int(made.id), timeout=5), Any)
    assert_type(await django.app.result_async(7), Any)
