"""Tasks in a module of their own: a process finds them by import."""

from __future__ import annotations

from pgqueue import PARENT, App, Context, Result, Results

app = App()


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
