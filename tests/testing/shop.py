"""An application whose tests these are: `make()` gives a fresh one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pgqueue import App, Cancel, Context, Discard, Retry, Snooze
from pgqueue.jobs.retries import Constant


def make() -> App:
    """An application that cannot reach a store by itself."""
    app = App("postgresql://nobody@/nowhere?host=/nonexistent")
    app.seen = []  # type: ignore[attr-defined]
    seen: list[Any] = app.seen  # type: ignore[attr-defined]

    @app.task(queue="mail")
    def send_receipt(
        order_id: int, note: str = "", lines: list[dict[str, Any]] | None = None
    ) -> str:
        seen.append(("send_receipt", order_id))
        return f"receipt {order_id}"

    @app.task
    async def count(n: int) -> int:
        seen.append(("count", n))
        return n + 1

    @app.task
    def place(ctx: Context, order_id: int) -> None:
        seen.append(("place", order_id))
        ctx.enqueue(send_receipt.job(order_id))

    @app.task(retry=Constant(60), max_attempts=3)
    def flaky(ctx: Context, until: int) -> int:
        seen.append(("flaky", ctx.attempt))
        if ctx.attempt < until:
            raise ConnectionError(f"attempt {ctx.attempt}")
        return ctx.attempt

    @app.task
    def outcome(kind: str) -> int | Snooze | Cancel | Discard | Retry:
        match kind:
            case "snooze":
                return Snooze(timedelta(hours=2))
            case "cancel":
                return Cancel("not wanted")
            case "discard":
                return Discard("hopeless")
            case "retry":
                return Retry(30, "later")
        return 1

    return app
