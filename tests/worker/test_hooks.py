"""Hooks: around every attempt, where it runs; and events, when the store has confirmed the end."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from pgqueue import App, Cancel, Context
from pgqueue.errors import InvalidTask
from pgqueue.jobs.events import JobCompleted, JobDiscarded, JobEvent, JobRetried, JobWasCancelled
from pgqueue.operations import inspections
from pgqueue.worker import Options, Worker
from pgqueue.worker.agents import announcer
from tests.worker import hooked
from tests.worker.conftest import Start, Work
from tests.worker.process import PATIENCE, Shop, soon
from tests.worker.store import Store, becomes, ended


class Said(list[JobEvent]):
    """The events that a handler was told."""

    async def until(self, number: int) -> list[JobEvent]:
        await soon(lambda: len(self) >= number)
        return sorted(self, key=lambda event: (event.id, event.attempt))


@pytest.fixture
async def elsewhere(app: App, postgres_url: str) -> Any:
    """A worker of the application that processes can import."""
    hooked.app.use(postgres_url)
    worker = Worker(hooked.app, Options(queues="default", pool_processes=1))
    running = asyncio.create_task(worker.run())
    yield hooked.app
    worker.stop()
    worker.stop()
    await running
    hooked.app.close()


async def test_hooks_are_around_a_coroutine_in_its_own_task(app: App, work: Work) -> None:
    said: ContextVar[str] = ContextVar("said", default="nothing")
    order: list[str] = []

    @app.around
    @contextmanager
    def first(ctx: Context) -> Iterator[None]:
        order.append(f"first of {ctx.task}")
        said.set("something")
        yield
        order.append("first ends")

    @app.around
    @contextmanager
    def second(ctx: Context) -> Iterator[None]:
        order.append("second")
        yield
        order.append("second ends")

    @app.task
    async def listen() -> str:
        await asyncio.sleep(0)
        order.append("task")
        return said.get()

    await work()
    handle = await app.enqueue_async(listen.job())

    assert await app.result_async(handle, PATIENCE) == "something"
    assert order == ["first of listen", "second", "task", "second ends", "first ends"]
    assert said.get() == "nothing"


async def test_hooks_are_around_a_function_in_its_thread_or_process(elsewhere: App) -> None:
    job = await elsewhere.enqueue_async(hooked.in_a_thread.job())
    around, thread = await elsewhere.result_async(job, PATIENCE)
    assert around == ["outer", "inner"]
    assert thread.startswith("pgqueue-")

    job = await elsewhere.enqueue_async(hooked.somewhere_else.job())
    around, pid = await elsewhere.result_async(job, PATIENCE)
    assert around == ["outer", "inner"]
    assert pid != os.getpid()

    two = await elsewhere.enqueue_async(hooked.in_two_parts.job())
    assert await elsewhere.result_async(two, PATIENCE) == ["outer", "inner"]


async def test_what_a_hook_raises_in_a_process_before_fails_and_afterwards_does_not(
    elsewhere: App,
) -> None:
    refused = await elsewhere.enqueue_async(hooked.refused.job())
    undone = await elsewhere.enqueue_async(hooked.undone.job())

    assert (await ended(elsewhere, refused)).reason == "PermissionError: not this one"
    assert await elsewhere.result_async(undone, PATIENCE) == "done"


@pytest.mark.parametrize("blocking", [True, False], ids=["thread", "coroutine"])
async def test_no_hook_changes_how_an_attempt_has_ended(
    app: App, work: Work, caplog: pytest.LogCaptureFixture, blocking: bool
) -> None:
    seen: list[str] = []

    @app.around
    @contextmanager
    def swallowing(ctx: Context) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            seen.append(str(error))
        else:
            raise RuntimeError("after a success")

    async def async_either(well: bool) -> str:
        return either(well)

    def either(well: bool) -> str:
        if not well:
            raise ValueError("the task's own")
        return "well"

    task = app.task(name="either", max_attempts=1)(either if blocking else async_either)
    await work()
    good, bad = await app.enqueue_async([task.job(True), task.job(False)])

    assert await app.result_async(good, PATIENCE) == "well"
    assert (await ended(app, bad)).reason == "ValueError: the task's own"
    assert seen == ["the task's own"]
    assert "which ends as it would have without it" in caplog.text


async def test_a_hook_that_fails_before_leaves_those_around_it(app: App, work: Work) -> None:
    left: list[str] = []

    @app.around
    @contextmanager
    def outer(ctx: Context) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            left.append(str(error))
            raise

    @app.around
    @contextmanager
    def refusing(ctx: Context) -> Iterator[None]:
        raise PermissionError("no")
        yield

    @app.task(max_attempts=1)
    async def never() -> None:
        left.append("ran")

    await work()
    job = await ended(app, await app.enqueue_async(never.job()))

    assert (job.state, job.reason) == ("discarded", "PermissionError: no")
    assert left == ["no"]


async def test_a_hook_that_a_process_would_not_find_is_refused_at_the_start(
    postgres_url: str,
) -> None:
    app = App(postgres_url)
    app.add(hooked.somewhere_else)

    @app.around
    @contextmanager
    def hidden(ctx: Context) -> Iterator[None]:
        yield

    with pytest.raises(InvalidTask, match=r"hidden: a process would not find it"):
        await Worker(app, Options(queues="default")).run()
    app.close()


async def test_events_say_how_attempts_ended(app: App, work: Work) -> None:
    said = Said()

    @app.on(JobCompleted, JobRetried, JobDiscarded, JobWasCancelled)
    async def note(event: JobEvent) -> None:
        said.append(event)

    @app.task(max_attempts=2, retry=0.0)
    async def attempt(how: str) -> Any:
        if how == "fails":
            raise ValueError("no good")
        return Cancel("for a reason") if how == "cancels" else None

    await work()
    jobs = [
        attempt.job(how).options(tags=["a"], metadata={"b": 1})
        for how in ("completes", "fails", "cancels")
    ]
    completes, fails, cancels = await app.enqueue_async(jobs)

    told = await said.until(4)

    assert [(type(event), event.id, event.attempt, event.reason) for event in told] == [
        (JobCompleted, completes.id, 1, None),
        (JobRetried, fails.id, 1, "ValueError: no good"),
        (JobDiscarded, fails.id, 2, "ValueError: no good"),
        (JobWasCancelled, cancels.id, 1, "for a reason"),
    ]
    assert {(e.task, e.queue, e.max_attempts, e.tags) for e in told} == {
        ("attempt", "default", 2, ("a",))
    }
    assert told[0].metadata == {"b": 1}


async def test_a_job_is_in_the_store_as_its_event_says(app: App, work: Work) -> None:
    states = []

    @app.on(JobCompleted)
    def look(event: JobCompleted) -> None:
        states.append(app.execute(inspections.get([event.id]))[event.id].state)

    @app.task
    def plain() -> None: ...

    await work()
    await app.enqueue_async([plain.job() for _ in range(20)])

    await soon(lambda: len(states) == 20)
    assert set(states) == {"completed"}


async def test_a_handler_that_fails_or_hangs_holds_neither_jobs_nor_the_shutdown(
    app: App, work: Work, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcer, "MOST_WAITING", 10)
    never = asyncio.Event()
    failed = threading.Event()

    @app.on(JobCompleted)
    def fails(event: JobCompleted) -> None:
        failed.set()
        raise SystemExit("a handler's own")

    @app.on(JobCompleted)
    async def hangs(event: JobCompleted) -> None:
        await never.wait()

    @app.task
    async def quick() -> None: ...

    worker = Worker(app, Options(queues="default"))
    running = asyncio.create_task(worker.run())
    handles = await app.enqueue_async([quick.job() for _ in range(50)])
    for handle in handles:
        await ended(app, handle)
    assert await asyncio.to_thread(failed.wait, PATIENCE)

    with caplog.at_level(logging.WARNING):
        worker.stop()
        async with asyncio.timeout(PATIENCE):
            await running

    assert "49 events were not told" in caplog.text
    assert "fails failed on JobCompleted" in caplog.text


async def test_a_dead_letter_that_the_rescuer_makes_is_told(
    app: App, work: Work, store: Store, start: Start, shop: Shop
) -> None:
    from tests.worker.shop import pack

    said = Said()
    app.max_rescues = 0

    @app.on(JobDiscarded)
    async def note(event: JobDiscarded) -> None:
        said.append(event)

    [handle] = store.enqueue(pack.job().options(queue="deadly", tags=["a"]))
    victim = start(queues="deadly")
    await soon(lambda: shop.marks("start"))
    await work()
    victim.kill()

    [event] = await said.until(1)
    assert (event.id, event.task, event.queue, event.tags) == (handle.id, "pack", "deadly", ("a",))
    assert (await becomes(app, handle, "discarded")).reason == event.reason
