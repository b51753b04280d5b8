"""What the workers of these tests run. Each run leaves marks in the diary, a file."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from pgqueue import App
from pgqueue.tasks.context import Context

app = App(max_rescues=int(os.environ.get("SHOP_MAX_RESCUES", "3")))


def note(ctx: Context, mark: str, pid: int | None = None) -> None:
    """One line, written at once and whole: whoever is killed has said it."""
    line = f"{mark} {ctx.id} {ctx.attempt} {pid or os.getpid()}\n".encode()
    diary = os.open(_folder() / "diary", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(diary, line)
    os.close(diary)


def is_open(gate: str) -> bool:
    return (_folder() / gate).exists()


def _folder() -> Path:
    return Path(os.environ["SHOP_FOLDER"])


@app.task
async def pack(ctx: Context, gate: str = "gate") -> int:
    """Ends when the test opens *gate*."""
    note(ctx, "start")
    try:
        while not is_open(gate):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        note(ctx, "interrupted")
        raise
    note(ctx, "end")
    return ctx.attempt


@app.task
async def ring(ctx: Context) -> None:
    note(ctx, "start")


@app.task
def weigh(ctx: Context, gate: str = "gate", *, looks: bool = True) -> None:
    """The same in a thread; one that does not look cannot be stopped."""
    note(ctx, "start")
    while not is_open(gate):
        if looks:
            ctx.raise_if_cancelled()
        time.sleep(0.01)
    note(ctx, "end")


@app.task(executor="process")
def print_label(ctx: Context, gate: str = "gate") -> int:
    """The same in a process."""
    note(ctx, "start")
    while not is_open(gate):
        time.sleep(0.01)
    note(ctx, "end")
    return os.getpid()


@app.task(executor="process")
def misprint(ctx: Context, kind: str) -> None:
    """Fails, in a process, with an error of that name."""
    errors = {"FileNotFoundError": FileNotFoundError, "Unpicklable": Unpicklable}
    raise errors[kind]("no paper")


class Unpicklable(Exception):
    def __reduce__(self) -> str:
        raise TypeError("this error does not travel")


@app.task(executor="process")
def count_letters(text: str) -> int:
    return len(text)


@app.task(executor="process")
def doze(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@app.task(executor="process")
def hire(ctx: Context) -> None:
    """Starts a program, and waits for it."""
    helper = subprocess.Popen(["sleep", "600"])
    note(ctx, "boss")
    note(ctx, "helper", helper.pid)
    helper.wait()


@app.task(executor="process")
def book(ctx: Context) -> None:
    """Completes, and then goes on for a while."""
    with ctx.transaction() as connection:
        connection.execute("INSERT INTO entry (job) VALUES (%s)", [ctx.id])
        ctx.result = "booked"
    note(ctx, "booked")
    time.sleep(1)
    note(ctx, "end")


@app.task(executor="process")
def stamp_then_fail(ctx: Context) -> Any:
    """Leaves a checkpoint in the first attempt and answers it in the second."""
    if ctx.checkpoint is None:
        ctx.progress(0.5, checkpoint={"stamped": 7})
        raise ValueError("out of ink")
    return ctx.checkpoint


@app.task
async def kill_the_worker(ctx: Context) -> None:
    note(ctx, "start")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
async def block_the_loop(ctx: Context, gate: str = "gate") -> None:
    note(ctx, "start")
    while not is_open(gate):
        time.sleep(0.01)  # noqa: ASYNC251


@app.task
def fork(ctx: Context, how: str, gate: str) -> None:
    """Forks a process that stays until the test opens *gate*, and waits; run again, it ends."""
    if not is_open("again"):
        note(ctx, "fork", _FORKS[how](gate))
        while True:
            time.sleep(0.05)
    note(ctx, "again")


def _linger(gate: str) -> None:
    while not is_open(gate):
        time.sleep(0.05)


def _by_os(gate: str) -> int:
    pid = os.fork()
    if pid == 0:
        _linger(gate)
        os._exit(0)
    return pid


def _by_multiprocessing(gate: str) -> int:
    process = multiprocessing.get_context("fork").Process(target=_linger, args=[gate])
    process.start()
    return process.pid or 0


def _by_a_pool(gate: str) -> int:
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
    pool.submit(_linger, gate)
    return next(iter(pool._processes))


_FORKS = {"os.fork": _by_os, "multiprocessing": _by_multiprocessing, "a pool": _by_a_pool}


@app.task
def fork_briefly(ctx: Context) -> int:
    """Forks a process that ends as Python processes do, with all that its connections say then."""
    child = multiprocessing.get_context("fork").Process(target=gc.collect)
    child.start()
    child.join()
    return child.exitcode or 0


@app.task(executor="process")
def nest(start: str) -> list[int]:
    """Has processes of its own."""
    context = multiprocessing.get_context(start)
    with context.Pool(2) as pool, ProcessPoolExecutor(2, mp_context=context) as executor:
        return [*pool.map(abs, [-1, -2]), *executor.map(abs, [-3, -4])]


@app.task
async def linger(ctx: Context, how: str) -> None:
    """Leaves something behind that does not end, in one of the ways there are."""
    if how == "deaf coroutine":
        note(ctx, "start")
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
    elif how == "deaf task":
        _left.add(asyncio.create_task(_deaf()))
    elif how == "executor":
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
    elif how == "thread":
        threading.Thread(target=time.sleep, args=(3600,)).start()
    elif how == "blocked loop":
        note(ctx, "start")
        while True:
            time.sleep(0.1)  # noqa: ASYNC251
    note(ctx, "start")


async def _deaf() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


@app.task(max_attempts=1)
async def interrupt(ctx: Context, how: str) -> None:
    """Raises what is no Exception, in itself, in a task of its own, or in a callback."""

    async def raises() -> None:
        raise KeyboardInterrupt("from a task")

    def exits() -> None:
        raise SystemExit(3)

    if how == "itself":
        await raises()
    elif how == "awaited":
        await asyncio.create_task(raises())
    elif how == "forgotten":
        _left.add(asyncio.create_task(raises()))
    elif how == "callback":
        asyncio.get_running_loop().call_soon(exits)
    await asyncio.sleep(0.05)


@app.task(max_attempts=1)
def interrupt_in_thread() -> None:
    raise KeyboardInterrupt


REASON = "the printer is out\nof what only the table may know"


@app.task(max_attempts=1)
async def fail_in_coroutine() -> None:
    raise ValueError(REASON)


@app.task(max_attempts=1)
def fail_in_thread() -> None:
    raise ValueError(REASON)


@app.task(max_attempts=1, executor="process")
def fail_in_process() -> None:
    raise ValueError(REASON)


_left: set[asyncio.Task[None]] = set()
