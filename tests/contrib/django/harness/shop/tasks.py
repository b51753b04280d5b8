"""Tasks of a shop, of every kind."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from django.db import connection
from django.utils import timezone, translation
from harness.shop.models import Order

from pgqueue import Context, Snooze
from pgqueue.contrib.django import app, task

ran: list[Any] = []
all_there = asyncio.Event()


@task
def send_receipt(order_id: int, note: str = "") -> int:
    Order.objects.filter(pk=order_id).update(receipts=1)
    return order_id


@task(queue_name="mail")
async def remind(order_id: int) -> str:
    order = await Order.objects.aget(pk=order_id)
    return order.book


@task(max_attempts=3, backoff=60, takes_context=True)
def flaky(context: Any) -> list[Any]:
    ran.append((context.attempt, len(context.task_result.errors)))
    if context.attempt < 3:
        raise ConnectionError(f"attempt {context.attempt}")
    return [context.attempt, len(context.task_result.worker_ids)]


@task(unique="{order_id}", key="{order_id}")
def render(order_id: int, pages: int = 1) -> None: ...


@task(unique=True)
def once(*args: Any, **kwargs: Any) -> None: ...


@task
def later() -> Any:
    return Snooze(60)


@task
def in_german() -> str:
    before = f"{translation.get_language()} {timezone.get_current_timezone_name()}"
    translation.activate("de")
    timezone.activate("Asia/Tokyo")
    return before


@task
async def whose_connection(together: int) -> list[int]:
    """The thread that this job's blocking code has, while *together* jobs run."""
    from asgiref.sync import sync_to_async

    mine = await sync_to_async(threading.get_ident)()
    await sync_to_async(connection.ensure_connection)()
    ran.append(mine)
    if len(ran) == together:
        all_there.set()
    await all_there.wait()
    return [mine, await sync_to_async(threading.get_ident)()]


@app.task(executor="process")
def in_a_process(order_id: int) -> str:
    return Order.objects.get(pk=order_id).book


@task(takes_context=True)
def whose(context: Any) -> list[str]:
    return context.task_result.worker_ids


@app.task
def native(ctx: Context, order_id: int) -> int:
    return Order.objects.filter(pk=order_id).update(receipts=7)
