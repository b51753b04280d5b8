"""Tasks in a module of their own: a process finds them by import."""

from __future__ import annotations

import asyncio

from pgqueue import PARENT, App, Cancel, Context, Discard, Result, Results, Snooze

app = App(max_rescues=1_000)  # some tests kill workers as often as that


@app.task(executor="process")
def plan_in_process(ctx: Context, parts: int) -> str:
    ctx.graft(*(part.job(n) for n in range(parts)))
    return "planned"


@app.task
def part(n: int) -> int:
    return n


@app.task(executor="process")
def total_in_process(ctx: Context, part: Results[int] = PARENT) -> list[int]:
    return [*part, sum(parent.result for parent in ctx.parents.all("part"))]


@app.task
def double(number: Result[int]) -> int:
    return 2 * number


@app.task(max_attempts=50, retry=0.0)
async def step(ctx: Context, script: list[str], end: str) -> Cancel | Discard | Snooze | None:
    """Plays *script*, an entry a run, and ends as *end* says."""
    done = int(ctx.checkpoint or 0)
    await asyncio.sleep(0.005)
    if done < len(script):
        ctx.progress(checkpoint=done + 1)
        await asyncio.sleep(0.02)  # let the checkpoint go out
        if script[done] == "fail":
            raise ValueError
        return Snooze(0.01)
    if end == "completed":
        return None
    return Discard("so it was written") if end == "discarded" else Cancel("so it was written")
