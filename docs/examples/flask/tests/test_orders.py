from datetime import UTC, datetime

from flask.testing import FlaskClient
from shop.tasks import NoSuchAddress, count_unpaid, mail_invoice, queue, remind, render_invoice

from pgqueue import State
from pgqueue.testing import Jobs

ORDER = {"customer": "ann@example.com", "cents": 1250}


def test_an_order_is_placed_together_with_its_jobs(client: FlaskClient, jobs: Jobs) -> None:
    order_id = client.post("/orders", json=ORDER).get_json()["id"]

    jobs.assert_enqueued(render_invoice, order_id=order_id, cents=1250, queue="pdf")
    jobs.assert_enqueued(mail_invoice, order_id=order_id)
    reminder = jobs.assert_enqueued(remind, order_id=order_id)
    assert reminder.state is State.SCHEDULED


def test_the_mail_waits_for_the_invoice_which_sees_the_application(
    client: FlaskClient, jobs: Jobs
) -> None:
    client.post("/orders", json=ORDER)

    rendered, mailed = jobs.drain()

    assert "12.50 EUR" in rendered.result
    assert mailed.task == "mail_invoice"


def test_a_wrong_address_is_a_dead_letter_at_once(jobs: Jobs) -> None:
    performed = jobs.perform(mail_invoice.job(7, "nobody"))

    assert performed.state is State.DISCARDED
    assert isinstance(performed.error, NoSuchAddress)


def test_no_customer_has_more_than_two_invoices_rendered_at_once(
    client: FlaskClient, jobs: Jobs
) -> None:
    client.post("/orders", json=ORDER)

    assert jobs.assert_enqueued(render_invoice).key == ORDER["customer"]
    assert queue.limits["pdf"].key_concurrency == 2


def test_the_unpaid_are_counted_every_night() -> None:
    new_year = datetime(2027, 1, 1, tzinfo=UTC)

    nightly = queue.declared[count_unpaid.name].timing.next_after(new_year)

    assert nightly == datetime(2027, 1, 1, 2, tzinfo=UTC)  # three o'clock in Berlin
