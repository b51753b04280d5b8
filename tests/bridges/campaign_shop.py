"""The application of the campaigns; its worker processes are killed again and again."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

from pgqueue import App, Context
from pgqueue.bridges import Received, amqp

app = App(os.environ.get("CAMPAIGN_STORE"), name="campaign")
out = app.outlet("out", amqp.Exchange("", url="env:CAMPAIGN_AMQP", timeout=5))
MENDED = "CAMPAIGN_MENDED"


def read(message: Received) -> Mapping[str, Any]:
    """The arguments; until it is mended, this cannot read what says that it is poison."""
    found: dict[str, Any] = message.json()
    if found.pop("poison", False) and not os.environ.get(MENDED):
        raise ValueError(f"no such account: {found['n']}")
    return found


@app.task(max_attempts=1_000, retry=0.1)
async def settle(ctx: Context, n: int) -> None:
    """A row, in the transaction that completes the job, where the store has one."""
    if app.url.startswith(("redis", "unix")):
        return
    async with ctx.transaction() as connection:
        done = connection.execute(f"INSERT INTO settled (n) VALUES ({n})")
        if inspect.isawaitable(done):
            await done


app.inlet(
    "come",
    amqp.Queue(os.environ.get("CAMPAIGN_QUEUE", "come"), url="env:CAMPAIGN_AMQP", prefetch=100),
    settle,
    read=read,
)
