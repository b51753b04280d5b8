"""What the shop does later."""

import logging
from datetime import timedelta

from django.conf import settings
from django.core.mail import send_mail

from pgqueue import Cancel, Context
from pgqueue.contrib.django import app, task
from pgqueue.jobs.retries import ByException, Constant, Never
from shop.models import Order

app.queue("pdf", key_concurrency=2)  # who has a hundred orders does not keep the others waiting
TOMORROW = timedelta(days=1)
log = logging.getLogger(__name__)


class NoSuchAddress(Exception):
    """It will not be there tomorrow either."""


@task(queue_name="pdf", key="{customer}", timeout=60)
def render_invoice(order_id: int, customer: str) -> str:
    order = Order.objects.get(pk=order_id)
    price = f"{order.cents / 100:.2f} {settings.CURRENCY}"
    return f"Invoice {order_id} for {customer}: {price}"


@task(
    queue_name="mail",
    max_attempts=10,
    backoff=ByException({OSError: Constant(60), NoSuchAddress: Never()}),
)
def mail_invoice(order_id: int) -> None:
    """Tried every minute while the mail server is away; a wrong address is a dead letter."""
    order = Order.objects.get(pk=order_id)
    if "@" not in order.customer:
        raise NoSuchAddress(order.customer)
    send_mail(f"Invoice {order_id}", "Thank you.", None, [order.customer])


@task
async def remind(order_id: int) -> Cancel | None:
    """Reads what is so when it runs, not what was so when it was enqueued."""
    if not await Order.objects.filter(pk=order_id, paid=False).aexists():
        return Cancel("nothing to remind of")
    log.info("please pay order %d", order_id)
    return None


@app.task(schedule="0 3 * * *", zone="Europe/Berlin")
def count_unpaid(ctx: Context) -> int:
    """Every night at three, by that clock, once: whichever worker leads then enqueues it."""
    unpaid = Order.objects.filter(paid=False).count()
    ctx.logger.info("%d orders are not paid", unpaid)
    return unpaid
