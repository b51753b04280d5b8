"""Messages of a real RabbitMQ, and of SQS, become jobs."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from pgqueue import App
from pgqueue.bridges import Message, amqp, probing, sqs
from tests.bridges.cloud import Cloud
from tests.bridges.conftest import Work
from tests.bridges.rabbit import Rabbit
from tests.bridges.running import until_ended, working
from tests.bridges.test_aws_out import Inbox, make
from tests.worker.process import soon


def send(channel: BlockingChannel, queue: str, *numbers: int) -> None:
    channel.confirm_delivery()  # else the broker may die before they are on its disk
    for n in numbers:
        told = BasicProperties(message_id=f"m{n}", headers={"n": n}, delivery_mode=2)
        channel.basic_publish("", queue, json.dumps({"n": n}).encode(), told)


def waits(channel: BlockingChannel, queue: str) -> int:
    count: int = channel.queue_declare(queue, passive=True).method.message_count
    return count


async def test_messages_of_a_rabbitmq_become_jobs(
    app: App, broker: Rabbit, channel: BlockingChannel, queue: str, had: list[int]
) -> None:
    source = amqp.Queue(queue, broker.url, prefetch=10)
    app.inlet("payments", source, app.tasks["settle"])
    send(channel, queue, *range(50))

    async with working(app, inlets=True):
        await until_ended(app, 50)

    assert sorted(had) == list(range(50))
    assert waits(channel, queue) == 0  # all had been acknowledged: none came back


async def test_a_consumer_that_the_broker_cancels_takes_again(
    app: App, work: Work, broker: Rabbit, channel: BlockingChannel, queue: str, had: list[int]
) -> None:
    app.inlet("payments", amqp.Queue(queue, broker.url), app.tasks["settle"])
    await work(inlets=True)
    send(channel, queue, 1)
    await until_ended(app, 1)

    channel.queue_delete(queue)
    channel.queue_declare(queue, durable=True)
    send(channel, queue, 2)
    await until_ended(app, 2, within=5)

    assert had == [1, 2]


async def test_a_broker_that_dies_hands_out_again_what_was_not_acknowledged(
    app: App,
    work: Work,
    broker: Rabbit,
    channel: BlockingChannel,
    queue: str,
    had: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probing, "FIRST_GAP_SECONDS", 0.01)
    app.inlet("payments", amqp.Queue(queue, broker.url, prefetch=5), app.tasks["settle"])
    send(channel, queue, *range(20))
    await work(inlets=True)
    await soon(lambda: had)

    broker.kill()
    await asyncio.to_thread(broker.start)
    with broker.connect() as connection:
        send(connection.channel(), queue, 20)
    await soon(lambda: set(had) >= set(range(21)))


async def test_messages_of_sqs_become_jobs(
    app: App, work: Work, aws: Cloud, had: list[int]
) -> None:
    inbox: Inbox = make(aws, fifo=False)
    app.inlet("payments", sqs.Queue(inbox.url, aws.options, wait=1), app.tasks["settle"])
    entries = [{"Id": str(n), "MessageBody": json.dumps({"n": n})} for n in range(10)]
    for _ in range(2):
        inbox.client.send_message_batch(QueueUrl=inbox.url, Entries=entries)
    await work(inlets=True)

    await until_ended(app, 20)

    assert sorted(had) == sorted([*range(10)] * 2)

    def empty() -> bool:
        told = inbox.client.get_queue_attributes(QueueUrl=inbox.url, AttributeNames=["All"])
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return all(told["Attributes"][name] == "0" for name in names)

    await soon(empty)
    inbox.client.delete_queue(QueueUrl=inbox.url)


async def test_a_queue_that_keeps_messages_longer_than_they_are_known_is_named(aws: Cloud) -> None:
    inbox = make(aws, fifo=False)
    inbox.client.set_queue_attributes(
        QueueUrl=inbox.url, Attributes={"MessageRetentionPeriod": "864000"}
    )
    source = sqs.Queue(inbox.url, aws.options)

    [short] = await source.examine(timedelta(days=4))

    assert "for 864,000 s, the inlet knows them for keep=345,600 s only" in short
    assert await source.examine(timedelta(days=10)) == await source.examine() == []
    inbox.client.delete_queue(QueueUrl=inbox.url)


async def test_what_an_outlet_sends_to_sqs_is_the_same_when_it_comes_in(aws: Cloud) -> None:
    inbox = make(aws, fifo=True)
    line = await sqs.Queue(inbox.url, aws.options, wait=1).open()
    await line.send([Message(id="m", body=b"\x00", content_type="a/b", key="k", type="t")])

    [came] = await line.take(10)
    await line.release([came])
    [again] = await line.take(10)
    await line.settle([again])

    assert (came.id, came.body, came.group, came.type) == ("m", b"\x00", "k", "t")
    assert again.id == "m"
    await line.close()
    inbox.client.delete_queue(QueueUrl=inbox.url)
