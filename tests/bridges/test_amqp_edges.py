"""What a real RabbitMQ does in odd moments: messages that no queue takes, an alarm, small frames,
channels that it closes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from itertools import count

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from pgqueue import App
from pgqueue.bridges import Again, Answer, Delivered, Message, Never, Returned, amqp, probing
from pgqueue.bridges.amqp_lines import ExchangeLine
from pgqueue.bridges.amqp_queue import QueueLine
from pgqueue.jobs.job import State
from tests.bridges.conftest import Work
from tests.bridges.rabbit import Rabbit
from tests.bridges.running import listed, until_ended, working
from tests.bridges.test_in import send, waits
from tests.worker.process import soon

SMALL_FRAME = 4_096
"""The least that AMQP allows."""
TOO_LARGE = 200_000


@pytest.fixture(scope="module")
def narrow(broker: Rabbit) -> Iterator[Rabbit]:
    """The broker, with small frames for new connections, and a limit for messages."""
    before = _set(broker, SMALL_FRAME, TOO_LARGE)
    yield broker
    _set(broker, *before)


def _set(broker: Rabbit, *limits: int) -> list[int]:
    """Changes what rabbitmq.conf says of frames and messages; returns what it said."""
    names = ("frame_max", "max_message_size")
    old = ",".join(f"element(2, application:get_env(rabbit, {name}))" for name in names)
    new = ",".join(
        f"application:set_env(rabbit, {name}, {limit})"
        for name, limit in zip(names, limits, strict=True)
    )
    found: list[int] = json.loads(broker.control("eval", f"Old = [{old}], {new}, Old."))
    return found


def bodies(channel: BlockingChannel, queue: str, number: int) -> list[bytes]:
    found = [channel.basic_get(queue, auto_ack=True)[2] for _ in range(number)]
    assert channel.basic_get(queue)[0] is None
    return found


def numbered(number: int, to: str | None = None, body: bytes = b"") -> list[Message]:
    return [Message(id=f"m{n}", body=body or b"%d" % n, to=to) for n in range(number)]


def delivered(answers: Sequence[Answer]) -> set[int]:
    return {n for n, answer in enumerate(answers) if answer == Delivered()}


async def test_of_a_mixed_batch_only_what_a_queue_has_counts_as_sent(
    broker: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    line = await ExchangeLine.to(amqp.Exchange("", broker.url))
    batch = [
        Message(id=f"m{n}", body=b"%d" % n, to=queue if n % 3 else f"no.such.{n}")
        for n in range(1_000)
    ]

    for _ in range(2):  # the second on a channel that has returned some
        answers = await line.send(batch)

        assert delivered(answers) == {n for n in range(1_000) if n % 3}
        assert all(
            type(answer) is Returned and f"no.such.{n}" in answer.why
            for n, answer in enumerate(answers)
            if n % 3 == 0
        )
        assert bodies(channel, queue, 666) == [b"%d" % n for n in range(1_000) if n % 3]
    await line.close()


async def test_what_a_full_queue_refuses_does_not_count_as_sent(
    broker: Rabbit, channel: BlockingChannel
) -> None:
    full = "full"
    arguments = {"x-max-length": 10, "x-overflow": "reject-publish"}
    channel.queue_declare(full, durable=True, arguments=arguments)
    line = await ExchangeLine.to(amqp.Exchange("", broker.url))

    answers = await line.send(numbered(200, full))

    came = {int(body) for body in bodies(channel, full, waits(channel, full))}
    assert came == delivered(answers)
    assert len(came) < 200
    assert all(type(answers[n]) is Again for n in set(range(200)) - came)
    channel.queue_delete(full)
    await line.close()


async def test_a_memory_alarm_spends_nothing_and_all_goes_on_when_it_ends(
    app: App,
    work: Work,
    broker: Rabbit,
    channel: BlockingChannel,
    queue: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probing, "FIRST_GAP_SECONDS", 0.01)
    orders = app.outlet("orders", amqp.Exchange("", broker.url, timeout=1), max_attempts=1)
    await work()
    gate = orders.sender

    await asyncio.to_thread(broker.control, "set_vm_memory_high_watermark", "0.00001")
    try:
        await app.enqueue_async([orders.message(n, to=queue) for n in range(300)])
        for _ in range(3):  # it takes connections all the while, and confirms nothing
            await soon(lambda: gate.shut_since)
            await soon(lambda: not gate.shut_since)
        assert not any(job.finished for job in await asyncio.to_thread(listed, app))
    finally:
        await asyncio.to_thread(broker.control, "set_vm_memory_high_watermark", "0.4")
    found = await until_ended(app, 300)

    assert {(job.state, job.attempt, len(job.errors)) for job in found} == {(State.COMPLETED, 1, 0)}
    number = waits(channel, queue)
    came = {channel.basic_get(queue, auto_ack=True)[2] for _ in range(number)}
    assert came == {b"%d" % n for n in range(300)}
    # It delivers what it was sent in the alarm: all of the first try, and one of each further one.
    assert number < 3 * 300


async def test_a_name_of_a_header_that_amqp_would_cut_is_refused_when_the_message_is_made(
    app: App,
) -> None:
    orders = app.outlet("orders", amqp.Exchange("shop"))

    with pytest.raises(ValueError, match="orders: headers: a name longer than the 128 bytes"):
        orders.message(1, headers={"é" * 65: "x"})


@pytest.mark.parametrize("size", [SMALL_FRAME - 9, SMALL_FRAME - 8, SMALL_FRAME - 7, 150_000])
async def test_a_body_goes_out_in_frames_of_the_size_that_was_agreed_on_and_comes_in_from_them(
    size: int, narrow: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    body = bytes(n % 251 for n in range(size))
    out = await ExchangeLine.to(amqp.Exchange("", narrow.url))
    into = await QueueLine.to(amqp.Queue(queue, narrow.url))

    answers = await out.send(numbered(20, queue, body))
    came: list[bytes] = []
    while len(came) < 20:
        found = await into.take(20)
        await into.settle(found)
        came += [message.body for message in found]

    assert answers == [Delivered()] * 20
    assert came == [body] * 20
    await out.close()
    await into.close()


async def test_headers_that_no_frame_holds_are_the_fault_of_their_message_alone(
    narrow: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    """AMQP has one frame for all headers of a message. A broker that is sent a larger one closes
    the connection: so this message came again and again, and kept the others waiting."""
    line = await ExchangeLine.to(amqp.Exchange("", narrow.url))
    fits, large = ({"h": "x" * size} for size in (SMALL_FRAME - 150, SMALL_FRAME))
    batch = [
        Message(id=str(n), body=b"%d" % n, to=queue, headers=headers)
        for n, headers in enumerate([{}, large, fits, large, {}])
    ]

    answers = await line.send(batch)

    assert delivered(answers) == {0, 2, 4}
    assert all(type(answers[n]) is Never for n in (1, 3))
    assert "4,096 bytes" in answers[1].why  # type: ignore[union-attr]  # looked at above
    assert bodies(channel, queue, 3) == [b"0", b"2", b"4"]
    assert await line.send(batch[:1]) == [Delivered()]
    await line.close()


async def test_headers_that_fill_their_frame_come_in(
    narrow: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    headers = {f"h{n}": "x" * 50 for n in range(60)}
    channel.basic_publish("", queue, b"x" * 10_000, BasicProperties(headers=headers))
    line = await QueueLine.to(amqp.Queue(queue, narrow.url))

    [came] = await line.take(1)

    assert (came.headers, came.body) == (headers, b"x" * 10_000)
    await line.close()


async def test_one_message_that_the_broker_refuses_costs_the_others_of_its_batch_nothing(
    narrow: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    """For one that is too large it closes the channel, and confirms no other."""
    line = await ExchangeLine.to(amqp.Exchange("", narrow.url))
    batch = numbered(50, queue)
    batch[20] = Message(id="large", body=b"x" * (TOO_LARGE + 1), to=queue)

    answers = await line.send(batch)

    assert delivered(answers) == {*range(50)} - {20}
    assert type(answers[20]) is Again
    assert "406" in answers[20].why
    came = {channel.basic_get(queue, auto_ack=True)[2] for _ in range(waits(channel, queue))}
    assert came == {b"%d" % n for n in range(50) if n != 20}
    await line.close()


async def test_an_exchange_that_is_deleted_amid_batches_takes_no_confirmed_message_along(
    broker: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    name = f"x-{queue}"
    channel.exchange_declare(name)
    channel.queue_bind(queue, name, "k")
    line = await ExchangeLine.to(amqp.Exchange(name, broker.url, routing_key="k"))

    def delete() -> None:
        with broker.connect() as connection:
            connection.channel().exchange_delete(name)

    deleting = asyncio.ensure_future(asyncio.to_thread(delete))
    sent: set[bytes] = set()
    for batch in count():
        messages = [Message(id=f"{batch}-{n}", body=b"%d-%d" % (batch, n)) for n in range(300)]
        answers = await line.send(messages)
        sent |= {messages[n].body for n in delivered(answers)}
        if len(delivered(answers)) < 300:
            break
    await deleting

    lost = [answer for answer in answers if answer != Delivered()]
    assert lost
    assert all(type(answer) in (Again, Returned) for answer in lost), lost[0]
    came = {channel.basic_get(queue, auto_ack=True)[2] for _ in range(waits(channel, queue))}
    assert came >= sent
    await line.close()


async def test_a_channel_that_the_broker_closes_amid_deliveries_loses_and_doubles_none(
    app: App,
    broker: Rabbit,
    channel: BlockingChannel,
    queue: str,
    had: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probing, "FIRST_GAP_SECONDS", 0.01)
    lines: list[QueueLine] = []
    consume = QueueLine._consume

    async def noted(line: QueueLine) -> None:
        await consume(line)
        lines.append(line)

    monkeypatch.setattr(QueueLine, "_consume", noted)
    app.inlet("payments", amqp.Queue(queue, broker.url, prefetch=20), app.tasks["settle"])
    async with working(app, inlets=True):
        for round in range(3):
            send(channel, queue, *range(100 * round, 100 * round + 100))
            await soon(lambda: len(had) > 100 * round)  # noqa: B023  # asked in this round
            assert lines[-1]._channel is not None
            # Of a tag that it has never given, the broker says 406 PRECONDITION_FAILED.
            await lines[-1]._channel.basic_ack(999_999, wait=False)
            await soon(lambda: len(lines) > round + 1)  # noqa: B023
        await until_ended(app, 300)

    assert sorted(had) == list(range(300))
    assert waits(channel, queue) == 0


async def test_a_queue_that_is_deleted_amid_an_outlet_s_messages_has_them_tried_again(
    app: App, work: Work, broker: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    orders = app.outlet("orders", amqp.Exchange("", broker.url))
    worker = await work()
    channel.queue_delete(queue)

    await app.enqueue_async([orders.message(n, to=queue) for n in range(50)])
    await soon(
        lambda: [each for each in worker._bridges() if each.out.answers.get("returned", 0) >= 50]
    )
    channel.queue_declare(queue, durable=True)
    found = await until_ended(app, 50, within=60)

    assert {(job.state, job.attempt) for job in found} == {(State.COMPLETED, 2)}
    assert sorted(json.loads(body) for body in bodies(channel, queue, 50)) == list(range(50))
