"""What outlets and inlets have done, as Prometheus reads it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pgqueue import App
from pgqueue.bridges import Again, Received, Returned
from pgqueue.errors import InvalidTask
from pgqueue.jobs.tally import Bridge, Figures, Histogram, Incoming, Outgoing, added
from pgqueue.views.metrics import text, worker_families
from pgqueue.worker import Worker
from tests.bridges.brokers import Broker, Mailbox
from tests.bridges.conftest import Work
from tests.bridges.running import until_ended
from tests.worker.process import soon

Found = dict[tuple[str, ...], float]


def read(told: str) -> Found:
    """The values of bridges' metrics, by the sample's name and its labels' values; no buckets."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
        if "bridge" in sample.labels and "le" not in sample.labels
    }


async def scraped(worker: Worker, when: Callable[[Found], bool]) -> Found:
    """What /metrics says as soon as *when* is true of it."""
    assert worker.probes is not None
    url = f"http://127.0.0.1:{worker.probes.port}/metrics"

    def told() -> Found | None:
        with urlopen(url) as answer:
            found = read(answer.read().decode())
        return found if when(found) else None

    return await soon(told, within=20)


async def test_an_outlet_says_what_was_sent_and_what_the_broker_answered(
    app: App, work: Work
) -> None:
    broker = Broker(refuses={b"2": Returned("no queue"), b"3": Again("full")})
    orders = app.outlet("orders", broker, max_attempts=1)
    worker = await work(health_port=0, health_host="127.0.0.1")

    await app.enqueue_async([orders.message(n) for n in range(5)])
    await until_ended(app, 5)

    found = await scraped(worker, lambda found: found["pgqueue_outlet_sent_total", "orders"] == 5)
    answers = {
        answer: found["pgqueue_outlet_answers_total", *sorted((answer, "orders"))]
        for answer in ("confirmed", "returned", "refused", "unknown")
    }
    assert answers == {"confirmed": 3, "returned": 1, "refused": 1, "unknown": 0}
    assert found["pgqueue_outlet_answer_seconds_count", "orders"] == 5
    assert found["pgqueue_outlet_answer_seconds_sum", "orders"] >= 0
    assert found["pgqueue_outlet_in_flight", "orders"] == 0


async def test_messages_in_flight_and_those_of_which_nothing_is_known_are_counted(
    app: App, work: Work
) -> None:
    broker = Broker(hangs=asyncio.Event(), lost=1)
    orders = app.outlet("orders", broker)
    worker = await work(health_port=0, health_host="127.0.0.1")
    await app.enqueue_async(orders.message(1))

    await scraped(worker, lambda found: found["pgqueue_outlet_in_flight", "orders"] == 1)
    assert broker.hangs is not None
    broker.hangs.set()
    await until_ended(app, 1)

    found = await scraped(worker, lambda found: found["pgqueue_outlet_sent_total", "orders"] == 2)
    assert found["pgqueue_outlet_answers_total", "orders", "unknown"] == 1
    assert found["pgqueue_outlet_answers_total", "confirmed", "orders"] == 1


async def test_an_inlet_says_what_came_and_what_it_was(
    app: App, work: Work, had: list[int]
) -> None:
    box = Mailbox()
    app.inlet("payments", box, app.tasks["settle"])
    app.outlet("orders", Broker(away=True))
    worker = await work(inlets=True, health_port=0, health_host="127.0.0.1")
    first = Received(body=json.dumps({"n": 1}).encode(), id="m1")

    box.put(first, Received(body=b'{"n": 2}'), first, Received(body=b"{", id="bad"))
    await until_ended(app, 3)
    await soon(lambda: box.empty)
    await app.enqueue_async(app.outlets["orders"].message(1))

    found = await scraped(
        worker, lambda found: found["pgqueue_bridge_away_seconds", "orders", "outlet"] > 0
    )
    assert found["pgqueue_bridge_away_seconds", "inlet", "payments"] == 0
    assert {
        what: found[f"pgqueue_inlet_{what}_total", "payments"]
        for what in ("received", "taken", "duplicates", "unnamed", "poison")
    } == {"received": 4, "taken": 4, "duplicates": 1, "unnamed": 1, "poison": 1}
    assert found["pgqueue_inlet_paused", "payments"] == 0


def test_an_outlet_and_an_inlet_of_one_name_are_refused_and_those_of_two_applications_kept_apart(
    app: App, had: list[int]
) -> None:
    """Both would be one series of what is told of either kind."""
    app.outlet("orders", Broker())
    app.inlet("payments", Mailbox(), app.tasks["settle"])

    with pytest.raises(InvalidTask, match="orders: there is an outlet or inlet of this name"):
        app.inlet("orders", Mailbox(), app.tasks["settle"])
    with pytest.raises(InvalidTask, match="payments: there is an outlet or inlet of this name"):
        app.outlet("payments", Broker())

    out, into = (
        Bridge("orders", away=4.0, out=Outgoing(3)),
        Bridge("orders", True, into=Incoming(5)),
    )
    found = read(text(worker_families(added([Figures(bridges=[out]), Figures(bridges=[into])]))))

    assert found["pgqueue_bridge_away_seconds", "orders", "outlet"] == 4
    assert found["pgqueue_bridge_away_seconds", "inlet", "orders"] == 0
    assert found["pgqueue_outlet_sent_total", "orders"] == 3
    assert found["pgqueue_inlet_received_total", "orders"] == 5


def test_processes_add_up_and_one_that_has_ended_leaves_its_counts() -> None:
    def one() -> Bridge:
        answered = Histogram()
        answered.add(0.01, 2)
        out = Outgoing(3, 1, {"confirmed": 2}, answered)
        return Bridge("orders", away=4.0, out=out)

    inlet = Bridge("payments", True, paused=True, into=Incoming(5, 4, 3, 2, 1))
    both = added([Figures(bridges=[one(), inlet]), Figures(bridges=[one().gone(), inlet.gone()])])

    found = read(text(worker_families(both)))

    assert found["pgqueue_outlet_sent_total", "orders"] == 6
    assert found["pgqueue_outlet_in_flight", "orders"] == 1
    assert found["pgqueue_outlet_answer_seconds_count", "orders"] == 4
    assert found["pgqueue_outlet_answers_total", "confirmed", "orders"] == 4
    assert found["pgqueue_bridge_away_seconds", "orders", "outlet"] == 4
    assert found["pgqueue_inlet_received_total", "payments"] == 10
    assert found["pgqueue_inlet_poison_total", "payments"] == 2
    assert found["pgqueue_inlet_paused", "payments"] == 1
