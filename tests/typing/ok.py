"""What type checkers must accept; test_typing runs mypy and pyright on it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

from pgqueue import PARENT, Graph, Result, Results, chain, group, map_reduce, workflow
from pgqueue.context import Context
from pgqueue.graphs import Workflow
from pgqueue.jobs import Handle, NewJob
from pgqueue.outcomes import Cancel, Retry, Snooze
from pgqueue.retries import ByException, Constant, Exponential, Never
from pgqueue.tasks import AsyncTask, SyncTask, TaskRegistry

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
