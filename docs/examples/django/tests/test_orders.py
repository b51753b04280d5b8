from django.core import mail
from django.test import TestCase
from shop.models import Order
from shop.tasks import (
    TOMORROW,
    NoSuchAddress,
    count_unpaid,
    mail_invoice,
    remind,
    render_invoice,
)

from pgqueue import State
from pgqueue.contrib.django import app
from pgqueue.contrib.django.testing import JobsMixin

ORDER = {"customer": "ann@example.com", "cents": 1250}


class OrderTests(JobsMixin, TestCase):
    def place(self, **changes: str) -> int:
        answer = self.client.post("/orders", ORDER | changes, content_type="application/json")
        order_id: int = answer.json()["id"]
        return order_id

    def test_an_order_is_placed_together_with_its_jobs(self) -> None:
        order_id = self.place()

        self.jobs.assert_enqueued(render_invoice, order_id=order_id, queue="pdf")
        self.jobs.assert_enqueued(mail_invoice, order_id=order_id)
        reminder = self.jobs.assert_enqueued(remind, order_id=order_id)
        self.assertEqual(reminder.state, State.SCHEDULED)

    def test_the_mail_waits_for_the_invoice(self) -> None:
        self.place()

        rendered, mailed = self.jobs.drain()

        self.assertIn("12.50 EUR", rendered.result)
        self.assertEqual(mailed.task, "shop.tasks.mail_invoice")
        self.assertEqual([sent.to for sent in mail.outbox], [["ann@example.com"]])

    def test_a_wrong_address_is_a_dead_letter_at_once(self) -> None:
        self.place(customer="nobody")

        _, mailed = self.jobs.drain(raising=False)

        self.assertEqual(mailed.state, State.DISCARDED)
        self.assertIsInstance(mailed.error, NoSuchAddress)

    def test_who_has_paid_is_not_reminded(self) -> None:
        order_id = self.place()
        Order.objects.filter(pk=order_id).update(paid=True)

        *_, reminded = self.jobs.drain(scheduled=self.jobs.clock.now() + 2 * TOMORROW)

        self.assertEqual(reminded.state, State.CANCELLED)

    def test_no_customer_has_more_than_two_invoices_rendered_at_once(self) -> None:
        self.place()

        self.assertEqual(self.jobs.assert_enqueued(render_invoice).key, "ann@example.com")
        self.assertEqual(app.limits["pdf"].key_concurrency, 2)

    def test_the_unpaid_are_counted_every_night(self) -> None:
        self.place()

        self.assertEqual(app.declared[count_unpaid.name].timing.said, "0 3 * * *")
        self.assertEqual(self.jobs.perform(count_unpaid.job()).result, 1)
