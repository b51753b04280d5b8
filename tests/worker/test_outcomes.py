"""How an attempt may end, and what is kept of it."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import time
from typing import Any

import pytest

from pgqueue import App, Cancel, Context, Discard, Retry, Snooze, State
from pgqueue.jobs.job import Job
from pgqueue.jobs.retries import Never
from pgqueue.operations import inspections
from tests.worker import shop as tasks
from tests.worker.conftest import Work
from tests.worker.process import Shop
from tests.worker.store import becomes, ended


async def test_runs_coroutines_functions_and_processes(app: App, work: Work, shop: Shop) -> None:
    @app.task
    async def coroutine(n: int) -> int:
        return n + 1

    @app.task
    def function(ctx: Context, n: int) -> dict[str, int]:
        return {"n": n, "attempt": ctx.attempt}

    app.add(tasks.count_letters)
    await work()

    handles = await app.enqueue_async(
        coroutine.job(1), function.job(n=5), tasks.count_letters.job("x" * 500_000)
    )

    results = [await app.result_async(handle, timeout=10) for handle in handles]
    assert results == [2, {"n": 5, "attempt": 1}, 500_000]


@pytest.mark.parametrize(
    ("outcome", "state", "attempt", "reason"),
    [
        (Snooze(3600), "scheduled", 0, None),
        (Retry(3600, "not yet"), "retryable", 1, None),
        (Cancel("no longer wanted"), "cancelled", 1, "no longer wanted"),
        (Discard("never works"), "discarded", 1, "never works"),
        (Cancel("with a NUL \0 in it"), "cancelled", 1, "with a NUL \\0 in it"),
        (Discard("half a pair \ud800"), "discarded", 1, "half a pair \\ud800"),
        (Cancel("x" * 2**22), "cancelled", 1, "x" * 2_000),
    ],
    ids=["snooze", "retry", "cancel", "discard", "NUL", "surrogate", "long"],
)
@pytest.mark.parametrize("in_thread", [False, True], ids=["coroutine", "thread"])
async def test_does_what_the_outcome_says(
    app: App, work: Work, in_thread: bool, outcome: Any, state: str, attempt: int, reason: str
) -> None:
    if in_thread:

        @app.task(name="say")
        def say() -> Any:
            return outcome
    else:

        @app.task(name="say")
        async def say() -> Any:
            return outcome

    await work()

    handle = await app.enqueue_async(say.job())

    job = await becomes(app, handle, state)
    assert (job.attempt, job.reason) == (attempt, reason)
    if isinstance(outcome, Retry):
        assert (job.errors[0].type, job.errors[0].message) == ("Retry", "not yet")


async def test_tries_again_as_the_policy_says_until_the_attempts_are_used_up(
    app: App, work: Work
) -> None:
    attempts: list[int] = []
    waits: list[tuple[int, str]] = []

    def policy(attempt: int, error: BaseException) -> float:
        waits.append((attempt, str(error)))
        return 0.01

    @app.task(max_attempts=3, retry=policy)
    async def fail(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise ValueError(f"attempt {ctx.attempt}")

    await work()

    job = await ended(app, await app.enqueue_async(fail.job()))

    assert job.state == State.DISCARDED
    assert attempts == [1, 2, 3]
    assert waits == [(1, "attempt 1"), (2, "attempt 2"), (3, "attempt 3")]
    assert job.reason == "ValueError: attempt 3"
    assert [(e.attempt, e.type, e.message) for e in job.errors] == [
        (1, "ValueError", "attempt 1"),
        (2, "ValueError", "attempt 2"),
        (3, "ValueError", "attempt 3"),
    ]
    assert "in fail\n" in (job.errors[0].traceback or "")


async def failure_of(app: App, work: Work, function: Any, **options: Any) -> Job:
    task = app.task(name="fails", retry=Never(), **options)(function)
    await work()
    job = await ended(app, await app.enqueue_async(task.job()))
    assert job.state == State.DISCARDED
    return job


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("an error without words")


class NotJson:
    pass


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Mute(), "<its message could not be read: RuntimeError>"),
        (ValueError("x" * 1_000_000), "x" * 2_000),
        (ValueError("NUL \0 and half a pair \ud800"), "NUL \\0 and half a pair \\ud800"),
        (SystemExit(3), "3"),
        (StopIteration("over"), None),
        (GeneratorExit("gone"), "gone"),
        (asyncio.CancelledError("by itself"), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
@pytest.mark.parametrize("in_thread", [False, True], ids=["coroutine", "thread"])
async def test_survives_every_error_and_keeps_it(
    app: App, work: Work, in_thread: bool, error: BaseException, message: str | None
) -> None:
    def function() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    job = await failure_of(app, work, function if in_thread else coroutine)

    [kept] = job.errors
    if message is not None:
        assert kept.type == type(error).__name__
        assert kept.message == message
        assert (job.reason or "").startswith(f"{kept.type}: {message[:100]}")
    assert len(kept.traceback or "") <= 8_000


async def test_any_handler_can_write_what_is_logged_of_an_error(app: App, work: Work) -> None:
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    handler = logging.StreamHandler(written)
    logger = logging.getLogger("pgqueue")
    logger.addHandler(handler)
    raised: list[Any] = []
    handler.addFilter(lambda record: raised.append(record.exc_info) is None)

    async def fail() -> None:
        raise ValueError("half a pair \ud800, \x1b[2J\nand a second line")

    try:
        await failure_of(app, work, fail)
    finally:
        logger.removeHandler(handler)

    written.seek(0)
    said = written.read()
    assert "failed: ValueError: half a pair \\ud800, \\x1b[2J\n" in said
    assert "in fail\n" in said
    assert "\x1b" not in said
    [error] = [info[1] for info in raised if info]
    assert str(error) == "half a pair \ud800, \x1b[2J\nand a second line"


async def test_keeps_the_end_of_an_endless_traceback(app: App, work: Work) -> None:
    def dive(n: int) -> None:
        dive(n + 1)

    async def fall() -> None:
        dive(0)

    job = await failure_of(app, work, fall)

    [error] = job.errors
    assert error.type == "RecursionError"
    assert 100 < len(error.traceback or "") <= 8_000


@pytest.mark.parametrize("kind", ["FileNotFoundError", "Unpicklable"])
async def test_keeps_what_a_process_raised(app: App, work: Work, kind: str, shop: Shop) -> None:
    app.add(tasks.misprint)
    await work(pool_processes=1)

    handle = await app.enqueue_async(tasks.misprint.job(kind).options(max_attempts=1))

    job = await ended(app, handle)
    assert (job.errors[0].type, job.errors[0].message) == (kind, "no paper")
    assert "in misprint" in (job.errors[0].traceback or "")


async def test_a_function_that_exits_does_not_take_its_process_along(app: App, work: Work) -> None:
    @app.task
    async def leave() -> None:
        sys.exit(1)

    @app.task
    async def stay() -> str:
        return "still here"

    await work()
    [leaving, staying] = await app.enqueue_async(leave.job(), stay.job())

    assert await app.result_async(staying, timeout=10) == "still here"
    job = await becomes(app, leaving, "retryable")
    assert job.errors[0].type == "SystemExit"


@pytest.mark.parametrize(
    ("result", "error"),
    [(NotJson(), "ResultNotSerialisable"), ("x" * 300_000, "ResultTooLarge")],
    ids=["no JSON", "too large"],
)
async def test_an_attempt_fails_whose_result_cannot_be_kept(
    app: App, work: Work, result: Any, error: str
) -> None:
    async def answer() -> Any:
        return result

    job = await failure_of(app, work, answer)

    assert job.errors[0].type == error
    assert "fails: its result" in job.errors[0].message


async def test_an_attempt_fails_whose_arguments_are_of_an_older_signature(
    app: App, work: Work
) -> None:
    @app.task(name="greet", retry=Never())
    async def old(name: str) -> None: ...

    new = App(app.url)

    @new.task(name="greet", retry=Never())
    async def greet(first: str, last: str) -> None: ...

    job = old.job("Ada")
    app._tasks.clear()
    app.add(greet)
    await work()

    ending = await ended(app, await app.enqueue_async(job))

    assert ending.state == State.DISCARDED
    assert ending.errors[0].type == "InvalidArguments"
    assert "greet" in ending.errors[0].message


async def test_hands_an_unknown_task_back_unspent_after_a_growing_delay(
    app: App, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    await work()
    strange = App(app.url)

    @strange.task
    async def unheard_of() -> None: ...

    waits = []
    handle = await app.enqueue_async(unheard_of.job())
    seen = None
    while len(waits) < 3:
        job = await becomes(app, handle, "scheduled")
        if job.claimed_at == seen:  # it has not been claimed again yet
            continue
        assert (job.attempt, job.errors) == (0, ())
        waits.append((job.run_at - (job.claimed_at or job.run_at)).total_seconds())
        seen = job.claimed_at
        await app.execute_async(_now(handle.id))

    assert waits == sorted(waits)
    assert waits[0] == pytest.approx(1, abs=0.5)
    assert waits[2] > 3
    assert caplog.text.count("no task 'unheard_of' here") == 1


def _now(id: int) -> Any:
    from pgqueue import operations

    return operations.retry([id])


async def test_progress_and_checkpoint_reach_the_next_attempt(
    app: App, work: Work, shop: Shop
) -> None:
    seen: list[Any] = []

    @app.task(retry=0.01)
    async def crawl(ctx: Context) -> None:
        seen.append((ctx.checkpoint, ctx.reported.note))
        ctx.progress(0.1 * ctx.attempt, note=f"page {ctx.attempt}", checkpoint=ctx.attempt)
        if ctx.attempt < 3:
            raise ValueError("lost the connection")

    @app.task(retry=0.01)
    def crawl_in_thread(ctx: Context) -> Any:
        if ctx.attempt == 1:
            ctx.progress(checkpoint="thread")
            raise ValueError("lost the connection")
        return ctx.checkpoint

    app.add(tasks.stamp_then_fail)
    await work()
    handles = await app.enqueue_async(
        crawl.job(), crawl_in_thread.job(), tasks.stamp_then_fail.job()
    )

    job = await ended(app, handles[0])
    assert seen == [(None, None), (1, "page 1"), (2, "page 2")]
    assert job.progress is not None
    assert (job.progress.note, job.progress.checkpoint) == ("page 3", 3)
    assert await app.result_async(handles[1], timeout=10) == "thread"
    assert await app.result_async(handles[2], timeout=20) == {"stamped": 7}


async def test_jobs_enqueued_by_a_task_appear_only_if_it_completes(app: App, work: Work) -> None:
    @app.task
    async def child(n: int) -> int:
        return n

    @app.task(retry=0.01)
    async def parent(ctx: Context) -> None:
        first, _ = ctx.enqueue(child.job(ctx.attempt), child.job(ctx.attempt * 10))
        ctx.enqueue(child.job(ctx.attempt * 100).after(first))
        if ctx.attempt < 3:
            raise ValueError("not yet")

    await work()

    await ended(app, await app.enqueue_async(parent.job()))

    async with asyncio.timeout(10):
        while True:
            children = await app.execute_async(inspections.list_jobs(task="child"))
            if len(children) == 3 and all(job.state == "completed" for job in children):
                break
            await asyncio.sleep(0.01)
    assert sorted(job.args["n"] for job in children) == [3, 30, 300]


async def test_a_job_fails_whose_new_jobs_cannot_be_enqueued(app: App, work: Work) -> None:
    @app.task
    async def child() -> None: ...

    async def parent(ctx: Context) -> None:
        ctx.enqueue(child.job().after(987654321))

    app.add(child)
    job = await failure_of(app, work, parent, max_attempts=1)

    assert job.errors[0].type == "UnknownParent"


def test_where_a_thread_is_can_be_asked_while_garbage_is_collected() -> None:
    """In a process of its own: where that goes wrong, the whole process stands still."""
    code = """
import gc, threading
from pgqueue.worker.running.watchdog import stack_of
gc.disable()
gc.set_threshold(1)
garbage = threading.local()
garbage.itself = garbage
del garbage
gc.enable()
assert "<module>" in stack_of(threading.get_ident())
assert gc.isenabled()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


async def test_names_the_task_that_blocks_the_event_loop(
    app: App, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def compute() -> None:
        began = time.monotonic()
        while "blocks the event loop" not in caplog.text and time.monotonic() < began + 30:
            time.sleep(0.05)  # noqa: ASYNC251

    await work()

    await ended(app, await app.enqueue_async(compute.job()), within=40)

    assert "task compute blocks the event loop" in caplog.text
    assert "in compute" in caplog.text
