"""The shop's HTTP side."""

from typing import Any

from flask import Flask, abort, request
from sqlalchemy.orm import Session, sessionmaker

from pgqueue import enqueue
from pgqueue.contrib.flask import Pgqueue
from pgqueue.errors import ResultTimeout
from shop.database import Invoice, Order, engine
from shop.tasks import TOMORROW, mail_invoice, queue, remind, render_invoice

site = Flask(__name__)
site.config["CURRENCY"] = "EUR"
Pgqueue(queue).init_app(site)  # tasks have its context: `current_app`, extensions, templates
session_of_request: sessionmaker[Session] = sessionmaker(engine)


@site.post("/orders")
def place() -> tuple[dict[str, int], int]:
    """The order and its jobs exist together, or not at all."""
    with session_of_request.begin() as session:
        order = Order(**request.get_json())
        session.add(order)
        session.flush()
        pdf = enqueue(session, render_invoice.job(order.id, order.customer, order.cents))
        mail = mail_invoice.job(order.id, order.customer).after(pdf)
        enqueue(session, mail, remind.job(order.id).options(delay=TOMORROW))
        session.add(Invoice(order_id=order.id, job_id=pdf.id))
        return {"id": order.id}, 201


@site.get("/orders/<int:order_id>/invoice")
def invoice(order_id: int) -> Any:
    """Wait for the file, for five seconds at most."""
    with session_of_request() as session:
        made_by = session.get(Invoice, order_id)
    if made_by is None:
        abort(404)
    try:
        rendered: str = queue.result(made_by.job_id, timeout=5)
    except ResultTimeout:
        return {"job": made_by.job_id}, 202
    return rendered
