"""Tasks of a queue with limits, for workers in processes of their own."""

from __future__ import annotations

import asyncio
import os

from pgqueue import App

app = App(schema=os.environ.get("SHOP_SCHEMA", "pgqueue"))


@app.task(queue="api", key="{key}", max_attempts=3)
async def rest(key: str, seconds: float = 0.001) -> None:
    await asyncio.sleep(seconds)


@app.task(queue="api", key="{key}", max_attempts=3, retry=0)
async def stumble(key: str) -> None:
    raise ValueError("no")
