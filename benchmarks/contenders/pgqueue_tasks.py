"""What the jobs run: as little as can be."""

from __future__ import annotations

import asyncio
import time

from pgqueue import App

app = App()
picked: list[float] = []


@app.task(name="noop")
async def noop(sent: float) -> None:
    picked.append(time.time() - sent)


@app.task(name="rest")
async def rest(seconds: float) -> None:
    await asyncio.sleep(seconds)
