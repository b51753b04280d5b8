"""The shop's next version: it knows a task that workers of the old one do not."""

from __future__ import annotations

from pgqueue import Context
from tests.faults.shop import ATTEMPTS, RETRY, Ending, Run, app

__all__ = ["app", "engrave"]


@app.task(max_attempts=ATTEMPTS, retry=RETRY)
async def engrave(ctx: Context, key: int, seconds: float, plan: str) -> Ending:
    run = Run(ctx, key, "async")
    with run.noted():
        return run.ends(plan)
