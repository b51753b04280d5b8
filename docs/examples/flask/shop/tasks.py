"""What the shop does later."""

from datetime import timedelta

from flask import current_app
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pgqueue import App, Cancel, Context
from pgqueue.jobs.retries import ByException, Constant, Never
from shop.database import URL, Order, engine

queue = App(URL.set(drivername="postgresql").render_as_string(hide_password=False), name="shop")
queue.queue("pdf", key_concurrency=2)  # who has a hundred orders does not keep the others waiting
TOMORROW = timedelta(days=1)


class MailServerAway(Exception):
    """It may be back in a minute."""


class NoSuchAddress(Exception):
    """It will not be there tomorrow either."""


@queue.task(queue="pdf", key="{customer}", timeout=60)
def render_invoice(order_id: int, customer: str, cents: int) -> str:
    return f"Invoice {order_id} for {customer}: {cents / 100:.2f} {current_app.config['CURRENCY']}"


@queue.task(queue="mail", retry=ByException({MailServerAway: Constant(60), NoSuchAddress: Never()}))
def mail_invoice(ctx: Context, order_id: int, customer: str) -> None:
    """Tried every minute while the mail server is away; a wrong address is a dead letter."""
    if "@" not in customer:
        raise NoSuchAddress(customer)
    ctx.logger.info("to %s: invoice %d", customer, order_id)


@queue.task
def remind(ctx: Context, order_id: int) -> Cancel | None:
    """Reads what is so when it runs, not what was so when it was enqueued."""
    with Session(engine) as session:
        order = session.get(Order, order_id)
    if order is None or order.paid:
        return Cancel("nothing to remind of")
    ctx.logger.info("please pay order %d", order_id)
    return None


@queue.task(schedule="0 3 * * *", zone="Europe/Berlin")
def count_unpaid(ctx: Context) -> int:
    """Every night at three, by that clock, once: whichever worker leads then enqueues it."""
    with Session(engine) as session:
        unpaid = session.scalar(select(func.count()).where(Order.paid.is_(False)))
    ctx.logger.info("%d orders are not paid", unpaid)
    return unpaid or 0
