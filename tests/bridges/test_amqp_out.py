"""Messages go out to a RabbitMQ, each exactly as it was committed; read by another client."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from pgqueue import App
from pgqueue.bridges import Again, Delivered, Message, amqp
from pgqueue.bridges.amqp_lines import ExchangeLine
from pgqueue.jobs.job import State
from tests.bridges.conftest import Work
from tests.bridges.rabbit import Rabbit
from tests.bridges.running import listed, until_ended
from tests.worker.process import soon


async def test_a_message_arrives_as_it_was_enqueued(
    app: App, work: Work, broker: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    orders = app.outlet("orders", amqp.Exchange("", broker.url))
    await work()

    await app.enqueue_async(
        orders.message({"id": 7}, to=queue, type="created", headers={"tenant": "a"})
    )
    await app.enqueue_async(orders.message(b"\x00\xff", to=queue, id="mine"))
    await until_ended(app, 2)

    _, told, body = channel.basic_get(queue, auto_ack=True)
    assert json.loads(body) == {"id": 7}
    assert (told.type, told.headers, told.content_type) == (
        *("created", {"tenant": "a"}),
        "application/json",
    )
    assert told.delivery_mode == 2
    assert UUID(told.message_id).version == 7
    _, told, body = channel.basic_get(queue, auto_ack=True)
    assert (body, told.message_id, told.content_type) == (
        *(b"\x00\xff", "mine"),
        "application/octet-stream",
    )


async def test_messages_of_a_key_keep_their_order(
    app: App, work: Work, broker: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    orders = app.outlet("orders", amqp.Exchange("", broker.url))
    await app.enqueue_async([orders.message(n, to=queue, key=f"k{n % 3}") for n in range(90)])

    await work()
    await until_ended(app, 90)

    came = [int(channel.basic_get(queue, auto_ack=True)[2]) for _ in range(90)]
    for key in range(3):
        assert [n for n in came if n % 3 == key] == list(range(key, 90, 3))


async def test_what_no_queue_takes_never_counts_as_sent(
    app: App, work: Work, broker: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    orders = app.outlet("orders", amqp.Exchange("", broker.url), max_attempts=1)
    await app.enqueue_async([orders.message(n, to=to) for n, to in enumerate(("no.such", queue))])

    await work()
    lost, sent = await until_ended(app, 2)

    assert (lost.state, sent.state) == (State.DISCARDED, State.COMPLETED)
    assert "312 NO_ROUTE" in lost.errors[0].message


async def test_an_exchange_that_is_not_there_is_the_reason_of_its_dead_letters(
    app: App, work: Work, broker: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    orders = app.outlet("orders", amqp.Exchange("absent", broker.url), max_attempts=1)
    fine = app.outlet("fine", amqp.Exchange("", broker.url))
    await app.enqueue_async([orders.message(n, to="a") for n in range(20)])
    await app.enqueue_async(fine.message(1, to=queue))

    await work()
    *lost, sent = await until_ended(app, 21)

    assert {job.state for job in lost} == {State.DISCARDED}
    assert all("404" in job.errors[0].message for job in lost)
    assert sent.state == State.COMPLETED


async def test_while_the_broker_is_away_messages_wait_and_spend_nothing(
    app: App, work: Work, broker: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    orders = app.outlet("orders", amqp.Exchange("", broker.url))
    worker, gate = await work(), orders.sender
    await app.enqueue_async(orders.message(0, to=queue))
    await until_ended(app, 1)

    broker.kill()
    try:
        await app.enqueue_async([orders.message(n, to=queue) for n in range(1, 200)])
        await soon(lambda: gate.shut_since, within=20)
        taken = worker._agents.fetcher.taken
    finally:
        await asyncio.to_thread(broker.start)
    found = await until_ended(app, 200)

    assert {job.state for job in found} == {State.COMPLETED}
    assert {job.attempt for job in found} == {1}
    assert taken < 200  # the others were not even claimed
    with broker.connect() as connection:
        came = connection.channel()
        bodies = {came.basic_get(queue, auto_ack=True)[2] for _ in range(200)}
    # A queue that was made just before the broker died may be forgotten, and the first one with it.
    assert bodies >= {str(n).encode() for n in range(1, 200)}


async def test_a_message_that_cannot_be_sent_may_hold_up_its_key(
    app: App, work: Work, broker: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    sink = amqp.Exchange("", broker.url)
    orders = app.outlet("orders", sink, max_attempts=1, hold_key=True)
    await app.enqueue_async([orders.message(1, to=to, key="k") for to in ("no", queue)])
    await app.enqueue_async(orders.message(3, to=queue, key="other"))

    await work()
    await until_ended(app, 1)
    held, behind, sent = listed(app)

    assert sent.state == State.COMPLETED
    assert behind.state == State.AVAILABLE
    assert held.state in (State.SCHEDULED, State.RUNNING)


async def test_a_long_routing_key_is_refused_when_the_message_is_made(app: App) -> None:
    orders = app.outlet("orders", amqp.Exchange("shop"))

    with pytest.raises(ValueError, match="orders: to, the routing key: longer than the 255 bytes"):
        orders.message(1, to="a" * 256)


@pytest.mark.parametrize("count", [20, 300])
async def test_many_that_go_to_an_absent_exchange_lose_no_connection(
    count: int, broker: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    """What is still written on the channel that the broker has closed ends the connection, too: so
    each try began anew, and none was ever told of the exchange."""
    name = f"x-{queue}"
    line = await ExchangeLine.to(amqp.Exchange(name, broker.url, routing_key="k"))
    messages = [Message(id=str(n), body=b"1") for n in range(count)]

    refused = await line.send(messages)
    assert all(isinstance(answer, Again) and "404" in answer.why for answer in refused), refused
    channel.exchange_declare(name)
    channel.queue_bind(queue, name, "k")

    assert await line.send(messages) == [Delivered()] * count
    await line.close()
