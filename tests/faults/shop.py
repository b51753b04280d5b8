"""What the workers of a campaign run: the same work in a coroutine, a thread, a process, and in a
transaction that completes the job."""

from __future__ import annotations

import asyncio
import inspect
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pgqueue import App, Cancel, Context, Discard, Retention, Snooze
from pgqueue.errors import JobCancelled
from pgqueue.jobs.job import NewJob
from pgqueue.operations import ClaimedJob
from pgqueue.worker.running.executor import Executor
from tests.faults import ration, timetable
from tests.faults.journal import WORKER_VARIABLE, write

# More attempts and rescues than a campaign's kills can use up: a job ends as its order says.
# Kept for longer than any clock that is set can make the jobs look old.
app = App(max_rescues=10_000, retention=Retention(completed=timedelta(days=7)))
ATTEMPTS = 1_000
RETRY = 0.1
STALL_SECONDS = 0.5
# Each version of the shop knows one more task, which workers of older ones do not.
VERSION_VARIABLE = "FAULTS_VERSION"
Ending = str | Snooze | Discard | Cancel


class Planned(Exception):
    """The order wanted this attempt to fail."""


class Run:
    """One run of a job, and what the journal says of it."""

    def __init__(self, ctx: Context, key: int, executor: str) -> None:
        self.name = secrets.token_hex(6)
        self._ctx = ctx
        self._about = (self.name, ctx.id, key, executor)
        write("start", *self._about)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """How it ends, whatever that is."""
        try:
            yield
        except Planned:
            write("failed", *self._about)
            raise
        except (asyncio.CancelledError, JobCancelled):
            write("interrupted", *self._about)
            raise
        except BaseException:
            write("broke", *self._about)
            raise

    def ends(self, plan: str) -> Ending:
        """What the task returns for *plan*."""
        first = self._ctx.checkpoint is None
        match plan:
            case "fail" if self._ctx.attempt == 1:
                raise Planned("the first attempt fails")
            case "snooze" if first:
                self._ctx.progress(checkpoint="snoozed")
                write("snoozed", *self._about)
                return Snooze(0.3)
            case "discard":
                write("discarded", *self._about)
                return Discard("so it was ordered")
            case "cancel":
                write("cancelled", *self._about)
                return Cancel("so it was ordered")
            case "spawn":
                key = self._about[2]
                self._ctx.enqueue(bake.job(key=-key, seconds=0.01, plan="complete"))
        write("end", *self._about)
        return self.name


@app.task(max_attempts=ATTEMPTS, retry=RETRY)
async def bake(ctx: Context, key: int, seconds: float, plan: str) -> Ending:
    return await _awaits(ctx, key, seconds, plan)


@app.task(max_attempts=ATTEMPTS, retry=RETRY)
def wash(ctx: Context, key: int, seconds: float, plan: str) -> Ending:
    return _blocks(ctx, key, seconds, plan)


@app.task(max_attempts=ATTEMPTS, retry=RETRY, executor="process")
def print_label(ctx: Context, key: int, seconds: float, plan: str) -> Ending:
    return _blocks(ctx, key, seconds, plan, "process")


@app.task(max_attempts=ATTEMPTS, retry=RETRY)
async def book(ctx: Context, key: int, seconds: float, plan: str) -> None:
    """Its row and its completion commit together, or neither does."""
    run = Run(ctx, key, "async")
    with run.noted():
        await asyncio.sleep(seconds)
        async with ctx.transaction() as connection:
            insert = f"INSERT INTO booking (job, run) VALUES ({ctx.id}, '{run.name}')"
            done = connection.execute(insert)
            if inspect.isawaitable(done):
                await done
            ctx.result = run.name
            write("end", run.name, ctx.id, key, "async")


async def engrave(ctx: Context, key: int, seconds: float, plan: str) -> Ending:
    return await _awaits(ctx, key, seconds, plan)


@app.task(max_attempts=ATTEMPTS, retry=RETRY, queue="api", key=ration.key)
async def call(ctx: Context, key: int, seconds: float, plan: str) -> Ending:
    return await _awaits(ctx, key, seconds, plan)


@app.task(max_attempts=ATTEMPTS, retry=RETRY, queue="line", key=ration.key)
def file(ctx: Context, key: int, seconds: float, plan: str) -> Ending:
    return _blocks(ctx, key, seconds, plan)


@app.task(max_attempts=ATTEMPTS, retry=RETRY)
async def index(ctx: Context, key: int, seconds: float, plan: str, edits: list[int]) -> Ending:
    run = Run(ctx, key, "async")
    with run.noted():
        for edit in edits:
            write("had", run.name, ctx.id, edit, "async")
        await asyncio.sleep(seconds)
        return run.ends(plan)


@app.task(max_attempts=ATTEMPTS, retry=RETRY)
async def ring(ctx: Context, seconds: float, plan: str) -> Ending:
    return await _awaits(ctx, _key_of(ctx), seconds, plan)


@app.task(max_attempts=ATTEMPTS, retry=RETRY)
def toll(ctx: Context, seconds: float, plan: str) -> Ending:
    return _blocks(ctx, _key_of(ctx), seconds, plan)


def ringing(entry: timetable.Entry) -> NewJob[Any]:
    """The job of a schedule."""
    task = toll if entry.thread else ring
    return task.job(seconds=entry.seconds, plan=entry.plan)


for _entry in timetable.ENTRIES.values():
    if _entry.source == "code":
        app.schedule(_entry.name, _entry.when.said, ringing(_entry), **_entry.options())
for _queue, _limits in ration.QUEUES.items():
    app.queue(_queue, **_limits)

for _version in range(1, int(os.environ.get(VERSION_VARIABLE, "0")) + 1):
    app.task(engrave, name=f"engrave_{_version}", max_attempts=ATTEMPTS, retry=RETRY)


async def _awaits(ctx: Context, key: int, seconds: float, plan: str) -> Ending:
    run = Run(ctx, key, "async")
    with run.noted():
        await asyncio.sleep(seconds)
        return run.ends(plan)


def _blocks(ctx: Context, key: int, seconds: float, plan: str, where: str = "thread") -> Ending:
    run = Run(ctx, key, where)
    with run.noted():
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            ctx.raise_if_cancelled()
            time.sleep(min(left, 0.05))
        return run.ends(plan)


def _key_of(ctx: Context) -> int:
    """The number used instead of an order's key in a job that a schedule made."""
    return timetable.key(ctx.scheduled.name, ctx.scheduled.instant)


TASKS: dict[str, Any] = {"async": bake, "thread": wash, "process": print_label, "book": book}
TASKS |= {"call": call, "file": file}


def _watch() -> None:
    """Notes when this process did not get the processor: then its delays are no surprise."""
    while True:
        before = time.monotonic()
        time.sleep(0.1)
        late = time.monotonic() - before - 0.1
        if late > STALL_SECONDS:
            write("stalled", seconds=late)


def _note_claims() -> None:
    """A claimed job may have to wait in its worker, for a thread or a process: hooks of an
    application do not learn of that."""
    take = Executor.take

    def noted(self: Executor, jobs: list[ClaimedJob], since: float) -> None:
        for job in jobs:
            write("claimed", job=job.id)
        take(self, jobs, since)

    Executor.take = noted  # type: ignore[method-assign]


if WORKER_VARIABLE in os.environ:
    _note_claims()
    threading.Thread(target=_watch, daemon=True).start()
