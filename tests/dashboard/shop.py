"""The shop of the picture in the README: it looks like anybody's, on an ordinary day."""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime

from pgqueue import App, Context
from pgqueue.jobs.tally import Series
from pgqueue.operations.gauging import LOOKS, QUEUE_ITSELF, RUNNING, WAITING
from pgqueue.operations.tallying import HOUR, MINUTE, TallyRow, minute_of, tally

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
    app.execute(tally(list(history(datetime.now(UTC)))))


USUAL = {  # queue, jobs a minute, seconds that one runs, share that fails
    "send_receipt": ("mail", 90, 0.12, 0.03),
    "render_invoice": ("pdf", 34, 0.8, 0.0),
    "sync_crm": ("api", 22, 0.35, 0.08),
    "monthly_report": ("reports", 1, 9.0, 0.0),
}


def history(now: datetime) -> Iterator[TallyRow]:
    """What workers would have counted in the last hour of such a day, and in its last weeks."""
    chance = random.Random(16)
    for task, usual in USUAL.items():
        for ago in range(60, 0, -1):
            at = minute_of(now) - ago * MINUTE
            rush = 2.2 if 22 < ago < 34 else 1.0  # at lunch
            yield TallyRow(at, MINUTE, 0, counted(chance, task, *usual, rush))
            waiting = round(usual[1] * rush**4 / 60 * chance.lognormvariate(0, 0.3))
            gauge = Series(usual[0], QUEUE_ITSELF, {LOOKS: 1, WAITING: waiting, RUNNING: 2})
            gauge.waited.add(waiting / usual[1])
            yield TallyRow(at, MINUTE, 0, gauge)
        for ago in range(24 * 30, 0, -1):
            at = minute_of(now).replace(minute=0) - ago * HOUR
            busy = 0.25 + max(0.0, math.sin((at.hour - 6) / 24 * 2 * math.pi))
            yield TallyRow(at, HOUR, 0, counted(chance, task, *usual, busy, minutes=60))


def counted(
    chance: random.Random,
    task: str,
    queue: str,
    rate: float,
    ran: float,
    fails: float,
    busy: float,
    minutes: int = 1,
) -> Series:
    series = Series(queue, task)
    for _ in range(round(chance.gauss(rate * busy, (rate * busy) ** 0.5))):
        series.count("retried" if chance.random() < fails else "completed", minutes)
        series.ran.add(ran * chance.lognormvariate(0, 0.5), minutes)
        series.waited.add(0.012 * busy**4 * chance.lognormvariate(0, 0.8), minutes)
    if fails and chance.random() < 3 * fails:
        series.count("discarded", minutes)
    return series
