"""The shop of the picture in the README: it looks like anybody's, on an ordinary day."""

from __future__ import annotations

import asyncio
import os

from pgqueue import App, Context

app = App(os.environ.get("SHOP_URL", "sqlite://"), name="shop")
app.queue("api", concurrency=8, key_concurrency=2)


@app.task(queue="mail", schedule="every weekday at 9:00", zone="Europe/Berlin", tags=["news"])
async def digest() -> None: ...


@app.task(queue="mail", tags=["receipt"])
async def send_receipt(order_id: int) -> None:
    if order_id % 31 == 0:
        raise ConnectionError(f"smtp{order_id % 3}.example.com refused order {order_id}")
    if order_id % 53 == 0:
        raise LookupError(f"order {order_id} has no address")


@app.task(queue="pdf")
async def render_invoice(ctx: Context, order_id: int) -> dict[str, int]:
    ctx.progress(0.4, "page 2 of 5")
    return {"pages": 5}


@app.task(queue="api", key="{tenant}")
async def sync_crm(tenant: str) -> None:
    await asyncio.sleep(3600)


@app.task(queue="reports")
async def monthly_report(month: str) -> None: ...


def fill() -> None:
    """A morning's jobs, as far as a worker brings them that ends; and those of the afternoon."""
    receipts = [send_receipt.job(n) for n in range(1, 361)]
    app.enqueue([job.options(max_attempts=1 + n % 2) for n, job in enumerate(receipts)])
    app.enqueue([render_invoice.job(n) for n in range(120)])
    asyncio.run(app.run_worker(queues=["mail", "pdf"], drain=True))
    app.enqueue([sync_crm.job(f"tenant-{n % 7}") for n in range(42)])
    app.enqueue([monthly_report.job(f"2026-{n:02}").options(delay=86_400 * n) for n in range(1, 7)])
