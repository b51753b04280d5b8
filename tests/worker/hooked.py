"""An application with hooks, which a process of the pool imports."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pgqueue import App, Context

app = App()
now_in: list[str] = []


@app.around
@contextmanager
def outer(ctx: Context) -> Iterator[None]:
    now_in.append("outer")
    try:
        yield
    finally:
        now_in.remove("outer")


@app.around
@contextmanager
def inner(ctx: Context) -> Iterator[None]:
    if ctx.task == "refused":
        raise PermissionError("not this one")
    now_in.append("inner")
    yield
    now_in.remove("inner")
    if ctx.task == "undone":
        raise RuntimeError("too late")


@app.task(executor="process")
def somewhere_else() -> tuple[list[str], int]:
    return list(now_in), os.getpid()


@app.task(executor="process", max_attempts=1)
def refused() -> None: ...


@app.task(executor="process")
def undone() -> str:
    return "done"


@app.task
def in_a_thread() -> tuple[list[str], str]:
    return list(now_in), threading.current_thread().name


def _returning() -> object:
    async def work() -> list[str]:
        return list(now_in)

    return work()


in_two_parts = app.task(name="in_two_parts")(_returning)
