"""The application of worker processes on a SQLite file: what ran leaves a line in a diary."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from pgqueue import App, Context

app = App()


def _write(line: str) -> None:
    descriptor = os.open(
        Path(os.environ["SHOP_FOLDER"]) / "diary", os.O_WRONLY | os.O_APPEND | os.O_CREAT
    )
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


@app.task
async def ring(ctx: Context, n: int) -> None:
    _write(f"{n} {os.getpid()}")


@app.task
async def instant() -> float:
    """When it ran."""
    return time.time()


@app.task(max_attempts=3)
def hang() -> int:
    """Ends when the gate was open before it began."""
    if not (Path(os.environ["SHOP_FOLDER"]) / "gate").exists():
        time.sleep(600)
    return os.getpid()


@app.task
async def wait() -> None:
    """Until it is cancelled."""
    await asyncio.sleep(600)


@app.task
async def buy(ctx: Context, n: int) -> None:
    """Writes in the transaction that completes it."""
    async with ctx.transaction() as connection:
        connection.execute("INSERT INTO purchase VALUES (?)", [n])
        if n < 0:
            raise ValueError("not for sale")
