from datetime import UTC, datetime

import pytest
from httpx import AsyncClient
from shop.tasks import NoSuchAddress, count_unpaid, mail_invoice, queue, remind, render_invoice

from pgqueue import State
from pgqueue.testing import AsyncJobs

pytestmark = pytest.mark.asyncio


async def test_an_order_is_placed_together_with_its_jobs(
    client: AsyncClient, jobs: AsyncJobs
) -> None:
    placed = await client.post("/orders", json={"customer": "ann@example.com", "cents": 1250})

    order_id = placed.json()["id"]
    await jobs.assert_enqueued(render_invoice, order_id=order_id, cents=1250, queue="pdf")
    await jobs.assert_enqueued(mail_invoice, order_id=order_id)
    reminder = await jobs.assert_enqueued(remind, order_id=order_id)
    assert reminder.state is State.SCHEDULED


async def test_the_mail_waits_for_the_invoice(client: AsyncClient, jobs: AsyncJobs) -> None:
    await client.post("/orders", json={"customer": "ann@example.com", "cents": 1250})

    done = await jobs.drain()

    assert [job.task for job in done] == ["render_invoice", "mail_invoice"]


async def test_a_wrong_address_is_a_dead_letter_at_once(jobs: AsyncJobs) -> None:
    performed = await jobs.perform(mail_invoice.job(7, "nobody"))

    assert performed.state is State.DISCARDED
    assert isinstance(performed.error, NoSuchAddress)


async def test_no_customer_has_more_than_two_invoices_rendered_at_once(
    client: AsyncClient, jobs: AsyncJobs
) -> None:
    await client.post("/orders", json={"customer": "ann@example.com", "cents": 1250})

    assert (await jobs.assert_enqueued(render_invoice)).key == "ann@example.com"
    assert queue.limits["pdf"].key_concurrency == 2


async def test_the_unpaid_are_counted_every_night() -> None:
    new_year = datetime(2027, 1, 1, tzinfo=UTC)

    nightly = queue.declared[count_unpaid.name].timing.next_after(new_year)

    assert nightly == datetime(2027, 1, 1, 2, tzinfo=UTC)  # three o'clock in Berlin
