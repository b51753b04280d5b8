"""What the workers of these tests run. Each run leaves marks in the diary, a file."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from pgqueue import App
from pgqueue.context import Context

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
