"""Messages go out to SQS and SNS, FIFO and standard."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from pgqueue import App
from pgqueue.bridges import Message, Unreachable, sns, sqs
from pgqueue.bridges.aws import MAX_BYTES
from pgqueue.bridges.aws_lines import Client, _descriptions, portions
from pgqueue.bridges.sender import Sender
from pgqueue.jobs.job import State
from tests.bridges.cloud import KEYS, Cloud
from tests.bridges.conftest import Work
from tests.bridges.running import until_ended
from tests.valkey import free_port

_numbers = count(1)


@dataclass
class Inbox:
    """A queue of SQS, and what its reader finds in it."""

    client: Any
    url: str

    def take(self, number: int) -> list[dict[str, Any]]:
        """The next *number* messages, which are then deleted."""
        found: list[dict[str, Any]] = []
        for _ in range(50):
            told = self.client.receive_message(
                QueueUrl=self.url,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
                MaxNumberOfMessages=10,
                WaitTimeSeconds=1,
            )
            for message in told.get("Messages", ()):
                found.append(message)
                handle = message["ReceiptHandle"]
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=handle)
            if len(found) >= number:
                return found
        raise AssertionError(f"only {len(found)} of {number}")


def make(aws: Cloud, *, fifo: bool) -> Inbox:
    client = aws.client("sqs")
    name = f"pgqueue-{os.getpid()}-{next(_numbers)}" + (".fifo" if fifo else "")
    made = client.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if fifo else {})
    return Inbox(client, made["QueueUrl"])


@pytest.fixture
def standard(aws: Cloud) -> Iterator[Inbox]:
    inbox = make(aws, fifo=False)
    yield inbox
    inbox.client.delete_queue(QueueUrl=inbox.url)


@pytest.fixture
def fifo(aws: Cloud) -> Iterator[Inbox]:
    inbox = make(aws, fifo=True)
    yield inbox
    inbox.client.delete_queue(QueueUrl=inbox.url)


async def test_a_message_arrives_as_it_was_enqueued(
    app: App, work: Work, aws: Cloud, standard: Inbox
) -> None:
    uploads = app.outlet("uploads", sqs.Queue(standard.url, aws.options))
    await work()

    await app.enqueue_async(uploads.message({"a": "ä"}, id="m1", type="t", headers={"x": "y"}))
    await app.enqueue_async(uploads.message(b"\x00\xff", id="m2"))
    assert {job.state for job in await until_ended(app, 2)} == {State.COMPLETED}

    found = {m["MessageAttributes"]["message-id"]["StringValue"]: m for m in standard.take(2)}
    assert json.loads(found["m1"]["Body"]) == {"a": "ä"}
    texts = {name: told["StringValue"] for name, told in found["m1"]["MessageAttributes"].items()}
    assert texts == {"message-id": "m1", "type": "t", "x": "y"}
    assert base64.b64decode(found["m2"]["Body"]) == b"\x00\xff"
    assert found["m2"]["MessageAttributes"]["content-encoding"]["StringValue"] == "base64"


async def test_keys_are_groups_and_what_is_sent_twice_arrives_once(
    app: App, work: Work, aws: Cloud, fifo: Inbox
) -> None:
    orders = app.outlet("orders", sqs.Queue(fifo.url, aws.options))
    await work()

    await app.enqueue_async([orders.message(n, key=f"k{n % 2}", id=f"m{n}") for n in range(20)])
    await app.enqueue_async(orders.message(0, key="k0", id="m0"))
    await until_ended(app, 21)

    found = fifo.take(20)
    for key in range(2):
        mine = [m for m in found if m["Attributes"]["MessageGroupId"] == f"k{key}"]
        assert [int(m["Body"]) for m in mine] == list(range(key, 20, 2))


async def test_a_queue_that_is_not_there_is_the_reason_of_its_dead_letters(
    app: App, work: Work, aws: Cloud, standard: Inbox
) -> None:
    lost = app.outlet("lost", sqs.Queue(standard.url + "-absent", aws.options), max_attempts=1)
    await work()

    await app.enqueue_async(lost.message(1))
    [job] = await until_ended(app, 1)

    assert job.state == State.DISCARDED
    assert "NonExistentQueue" in job.errors[0].message


async def test_aws_that_is_away_shuts_the_gate() -> None:
    nowhere = {"region_name": "us-east-1", "endpoint_url": f"http://127.0.0.1:{free_port()}"}
    sender = Sender(sqs.Queue("http://127.0.0.1/a", {**nowhere, **KEYS}))

    with pytest.raises(Unreachable, match="SQS: EndpointConnectionError"):
        await sender.send(Message(id="1", body=b"{}"))

    assert sender.shut_since is not None
    await sender.close()


async def test_calls_that_wait_for_a_thread_are_given_back_when_aws_falls_silent() -> None:
    """Three of four calls wait for one of eight threads: what waits would be told of by and by, a
    timeout after the other."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                asked += 1
                if asked == 1:  # whether anybody is there
                    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = {"region_name": "us-east-1", "endpoint_url": f"http://127.0.0.1:{port}", **KEYS}
    queue = sqs.Queue("http://127.0.0.1/a", options, timeout=1, wait=0)
    sender = Sender(queue)
    number = queue.batch * queue.parallel

    told = await asyncio.gather(
        *(sender.send(Message(id=str(n), body=b"{}")) for n in range(number)),
        return_exceptions=True,
    )

    assert {type(answer) for answer in told} == {Unreachable}
    assert asked - 1 < number / 10  # those that waited were not sent, one after the other
    await sender.close()
    server.close()


async def test_clients_share_what_is_read_of_aws() -> None:
    nowhere = {"region_name": "us-east-1", "endpoint_url": f"http://127.0.0.1:{free_port()}"}
    folders = []
    for _ in range(2):
        client = Client("sqs", {**nowhere, **KEYS}, 1.0, 1)
        await client.open()
        folders.append(list(_descriptions().search_paths))
        await client.close()

    assert _descriptions.cache_info().misses == 1
    assert folders[0] == folders[1]


async def test_a_topic_passes_messages_on(
    app: App, work: Work, aws: Cloud, standard: Inbox
) -> None:
    client = aws.client("sns")
    arn = client.create_topic(Name=f"pgqueue-{os.getpid()}-{next(_numbers)}")["TopicArn"]
    attributes = standard.client.get_queue_attributes(
        QueueUrl=standard.url, AttributeNames=["QueueArn"]
    )
    queue = attributes["Attributes"]["QueueArn"]
    client.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
    news = app.outlet("news", sns.Topic(arn, aws.options))
    await work()

    await app.enqueue_async(news.message({"a": 1}, to="subject"))
    await until_ended(app, 1)

    told = json.loads(standard.take(1)[0]["Body"])
    assert (json.loads(told["Message"]), told["Subject"]) == ({"a": 1}, "subject")
    client.delete_topic(TopicArn=arn)


def test_a_call_stays_within_what_aws_takes() -> None:
    large = Message(id="1", body=b"1" * (MAX_BYTES // 2))
    small = Message(id="2", body=b"1")

    assert [len(portion) for portion in portions([large, small, large, small])] == [2, 2]
    assert [len(portion) for portion in portions([small] * 25)] == [10, 10, 5]
    with pytest.raises(ValueError, match="larger than the 1 MiB"):
        sqs.Queue("a").check(Message(id="1", body=b"1" * MAX_BYTES))
    with pytest.raises(ValueError, match="takes 8 of them"):
        sqs.Queue("a").check(Message(id="1", body=b"", headers={str(n): "a" for n in range(9)}))
    with pytest.raises(ValueError, match="an outlet for each queue"):
        sqs.Queue("a").check(Message(id="1", body=b"", to="b"))
