"""An application, as a user of the command line has one."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pgqueue import App, Context, Discard

app = App()


@app.task(queue="mail")
async def send(order_id: int) -> dict[str, int]:
    return {"sent": order_id}


@app.task(max_attempts=1)
async def boom(order_id: int) -> None:
    raise RuntimeError(f"order {order_id} is broken")


@app.task(queue="mail")
async def refuse() -> Discard:
    return Discard("not wanted")


@app.task
def build(ctx: Context, pages: int) -> str:
    ctx.progress(0.5, f"page {pages // 2}", checkpoint={"page": pages // 2})
    return "built"


@app.task
def hang(gate: str) -> int:
    """Waits until the file *gate* is there; says in *gate*.pid who waits."""
    Path(f"{gate}.pid").write_text(str(os.getpid()))
    while not Path(gate).exists():
        time.sleep(0.01)
    return os.getpid()
