"""What a bridge costs: ratios to a bare loop of the same client library, in the same run.

`python -m benchmarks bridges`. PostgreSQL, RabbitMQ and an emulator of SQS are started here and
share the machine with what is measured; each figure is the median of the runs, and each run has
both sides, one after the other, with the same bodies. Out: a worker that drains its queue, against
publishing and waiting for confirms. In: a worker that has made jobs of all, against consuming and
acknowledging. Both sides have their connection, or client, before the clock starts: a client of
boto3 takes 50 ms of processor time, once. Beside the rates, the processor time of this process by
message: on a machine that does other work it is the steadier figure. Idle: from the return of
COMMIT here until a consumer here has the message, through a worker process that had nothing to do.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from uuid import uuid4

import aiormq
import psycopg
from pamqp.commands import Basic
from rich.console import Console

from benchmarks import tables
from pgqueue import App, embedded, enqueue
from pgqueue.bridges import amqp, sqs
from pgqueue.bridges.base import Sink, Source
from pgqueue.migrations import migrate
from pgqueue.worker import Options, Worker
from tests.bridges import cloud, rabbit
from tests.bridges.cloud import Cloud
from tests.bridges.rabbit import Rabbit
from tests.bridges.stands import workers
from tests.worker.starting import has_started

BODY = {"id": 7, "text": "a body as long as most are, a hundred bytes or so, with a few fields"}
ENCODED = json.dumps(BODY, separators=(",", ":")).encode()
IN_FLIGHT = 1_000
PREFETCH = 400
CALLS = 8
"""How many calls to SQS are under way at once, on both sides."""
IDLE_SECONDS = 0.2
IDLE = "idle, from commit to consumer"


@dataclass
class Taken:
    """What a side took: seconds, and those on a processor."""

    wall: float
    busy: float

    @classmethod
    async def by(cls, work: Callable[[], Awaitable[object]]) -> Taken:
        began, busy = perf_counter(), process_time()
        await work()
        return cls(perf_counter() - began, process_time() - busy)


class _Open:
    """A sink or a source with a line that has been opened already."""

    def __init__(self, inner: Any, line: Any) -> None:
        self._inner = inner
        self._line = line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def open(self) -> Any:
        return self._line

    async def examine(self, *_: object) -> Sequence[str]:
        return ()


Side = Callable[[int], Awaitable[Taken]]
At = Callable[[str, int], Awaitable[Taken]]
"""A side that is told the queue."""


def main(size: int | None, repeat: int | None, cases: Sequence[str] = ()) -> None:
    """Measure, and show the ratios; if *cases* are given, of those with one of them in the name."""
    number, times = size or 10_000, repeat or 3
    if rabbit.program() is None:
        raise SystemExit(f"no RabbitMQ here: {rabbit.CURE}")
    console = Console()
    with (
        embedded.start(None, ephemeral=True) as server,
        rabbit.server() as broker,
        cloud.cloud() as aws,
    ):
        migrate(server.url)
        for name, (bare, ours, share) in _sides(server.url, broker, aws).items():
            if not _wanted(name, cases):
                continue
            count = number // share
            runs = [asyncio.run(_both(bare, ours, count)) for _ in range(times)]
            console.print(_told(name, count, runs))
        if _wanted(IDLE, cases):
            waits = asyncio.run(_idle(server.url, broker, min(200, number)))
            middle, late = statistics.median(waits), statistics.quantiles(waits, n=100)[98]
            console.print(f"{IDLE}: p50 {middle * 1_000:.1f} ms, p99 {late * 1_000:.1f} ms")
    console.print(f"load {os.getloadavg()[0]:.1f}")


def _wanted(name: str, cases: Sequence[str]) -> bool:
    return not cases or any(case in name for case in cases)


async def _both(bare: Side, ours: Side, number: int) -> tuple[Taken, Taken]:
    return await bare(number), await ours(number)


def _told(name: str, number: int, runs: list[tuple[Taken, Taken]]) -> str:
    ratio = statistics.median(bare.wall / ours.wall for bare, ours in runs)
    sides = list(zip(*runs, strict=True))
    bare, ours = (number / statistics.median(each.wall for each in side) for side in sides)
    costs = [statistics.median(each.busy for each in side) / number * 1e6 for side in sides]
    return (
        f"{name}: {tables.number(ours)}/s, bare {tables.number(bare)}/s, ratio {ratio:.2f}; "
        f"processor {costs[1]:.0f} µs a message, bare {costs[0]:.0f}"
    )


def _sides(url: str, broker: Rabbit, aws: Cloud) -> dict[str, tuple[Side, Side, int]]:
    """By name: the bare side, ours, and by how much fewer messages are sent."""

    def outlet(ordered: bool) -> At:
        exchange = amqp.Exchange("", broker.url)
        return lambda queue, number: _outlet(url, exchange, queue, ordered, number)

    def inlet(queue: str, number: int) -> Awaitable[Taken]:
        return _inlet(url, amqp.Queue(queue, broker.url, prefetch=PREFETCH), number)

    def sqs_outlet(place: str, number: int) -> Awaitable[Taken]:
        return _outlet(url, sqs.Queue(place, aws.options), None, False, number)

    def sqs_inlet(place: str, number: int) -> Awaitable[Taken]:
        return _inlet(url, sqs.Queue(place, aws.options), number)

    publish, consume = partial(_publish, broker), partial(_consume, broker)
    send, receive = partial(_send, aws), partial(_receive, aws)
    at, at_sqs = partial(_at_rabbit, broker), partial(_at_sqs, aws)
    return {
        "AMQP out, ordered by key": (at(publish), at(outlet(True)), 1),
        "AMQP out, not ordered": (at(publish), at(outlet(False)), 1),
        "AMQP in": (at(consume, publish), at(inlet, publish), 1),
        "SQS out": (at_sqs(send), at_sqs(sqs_outlet), 2),
        "SQS in": (at_sqs(receive, send), at_sqs(sqs_inlet, send), 2),
    }


def _at_rabbit(broker: Rabbit, side: At, fill: At | None = None) -> Side:
    """*side*, with a queue of its own, which *fill* has filled."""

    async def on(number: int) -> Taken:
        queue = f"bench-{uuid4()}"
        with broker.connect() as connection:
            connection.channel().queue_declare(queue, durable=True)
        if fill is not None:
            await fill(queue, number)
        taken = await side(queue, number)
        with broker.connect() as connection:
            connection.channel().queue_delete(queue)
        return taken

    return on


def _at_sqs(aws: Cloud, side: At, fill: At | None = None) -> Side:
    """As `_at_rabbit`."""
    client = aws.client("sqs")

    async def on(number: int) -> Taken:
        place = client.create_queue(QueueName=f"bench-{uuid4()}")["QueueUrl"]
        if fill is not None:
            await fill(place, number)
        taken = await side(place, number)
        client.delete_queue(QueueUrl=place)
        return taken

    return on


async def _publish(broker: Rabbit, queue: str, number: int) -> Taken:
    """Publish and wait for confirms, a thousand at once."""
    connection = await aiormq.connect(broker.url)
    channel = await connection.channel()

    async def work() -> None:
        for start in range(0, number, IN_FLIGHT):
            await asyncio.gather(
                *(
                    channel.basic_publish(
                        ENCODED,
                        routing_key=queue,
                        properties=Basic.Properties(
                            content_type="application/json",
                            message_id=str(uuid4()),
                            delivery_mode=2,
                        ),
                        mandatory=True,
                        wait=False,
                    )
                    for _ in range(start, min(number, start + IN_FLIGHT))
                )
            )

    try:
        return await Taken.by(work)
    finally:
        await connection.close()


async def _consume(broker: Rabbit, queue: str, number: int) -> Taken:
    """Consume, and acknowledge by the hundred."""
    connection = await aiormq.connect(broker.url)
    channel = await connection.channel(publisher_confirms=False)
    await channel.basic_qos(prefetch_count=PREFETCH)
    seen, done = 0, asyncio.Event()

    async def came(message: aiormq.abc.DeliveredMessage) -> None:
        nonlocal seen
        seen += 1
        if seen % 100 == 0 or seen == number:
            assert message.delivery_tag is not None
            await channel.basic_ack(message.delivery_tag, multiple=True, wait=False)
        if seen == number:
            done.set()

    async def work() -> None:
        await channel.basic_consume(queue, came)
        await done.wait()

    try:
        return await Taken.by(work)
    finally:
        await connection.close()


async def _send(aws: Cloud, place: str, number: int) -> Taken:
    """Send ten a call, several calls at once."""
    client = aws.client("sqs")

    def send(count: int) -> None:
        entries = [
            {
                "Id": str(n),
                "MessageBody": ENCODED.decode(),
                "MessageAttributes": {
                    "message-id": {"DataType": "String", "StringValue": str(uuid4())}
                },
            }
            for n in range(count)
        ]
        told = client.send_message_batch(QueueUrl=place, Entries=entries)
        assert len(told["Successful"]) == count

    return await _called(send, number)


async def _receive(aws: Cloud, place: str, number: int) -> Taken:
    """Receive and delete ten a call, several calls at once."""
    client = aws.client("sqs")

    def receive(count: int) -> None:
        while count > 0:
            found = client.receive_message(
                QueueUrl=place, MaxNumberOfMessages=min(10, count), MessageAttributeNames=["All"]
            ).get("Messages", [])
            entries = [
                {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]}
                for n, each in enumerate(found)
            ]
            if entries:
                client.delete_message_batch(QueueUrl=place, Entries=entries)
            count -= len(found)

    return await _called(receive, number)


async def _called(work: Callable[[int], None], number: int) -> Taken:
    loop = asyncio.get_running_loop()
    portions = [min(10, number - start) for start in range(0, number, 10)]
    with ThreadPoolExecutor(CALLS) as threads:

        async def all_() -> None:
            await asyncio.gather(*(loop.run_in_executor(threads, work, n) for n in portions))

        return await Taken.by(all_)


async def _outlet(url: str, sink: Sink, queue: str | None, ordered: bool, number: int) -> Taken:
    """Send what waits in PostgreSQL, from when the worker has started until it has drained it."""
    app = App(url)
    out = app.outlet("out", _Open(sink, await sink.open()), ordered=ordered)
    for start in range(0, number, IN_FLIGHT):
        await app.enqueue_async(
            [out.message(BODY, to=queue) for _ in range(start, min(number, start + IN_FLIGHT))]
        )
    worker = Worker(app, Options(queues="out", concurrency=IN_FLIGHT, drain=True))
    running = asyncio.create_task(worker.run())
    await has_started(worker, running)
    taken = await Taken.by(partial(_whole, running))
    await app.close_async()
    return taken


async def _whole(running: asyncio.Task[None]) -> None:
    await running


async def _inlet(url: str, source: Source, number: int) -> Taken:
    """Make jobs of what waits in the broker, until the last is committed."""
    app = App(url)

    @app.task
    async def settle(id: int, text: str) -> None: ...

    app.inlet("come", _Open(source, await source.open()), settle)
    worker = Worker(app, Options(queues="other", inlets=True))

    async def work() -> None:
        # It counts, and tells nobody.
        while sum(each.into.taken for each in worker._bridges()) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    running = asyncio.create_task(worker.run())
    await has_started(worker, running)
    taken = await Taken.by(work)
    worker.stop()
    await running
    await app.close_async()
    return taken


async def _idle(url: str, broker: Rabbit, number: int) -> list[float]:
    """Seconds from a commit until the consumer has the message, one at a time."""
    queue = f"idle-{os.getpid()}"
    app = App(url)
    out = app.outlet("out", amqp.Exchange(""))
    came: asyncio.Queue[float] = asyncio.Queue()

    async def note(_: aiormq.abc.DeliveredMessage) -> None:
        came.put_nowait(perf_counter())

    found: list[float] = []
    environment = {"CAMPAIGN_STORE": url, "CAMPAIGN_AMQP": broker.url}
    with (
        tempfile.TemporaryDirectory() as folder,
        workers(environment, Path(folder), "-q", "out", number=1),
    ):
        async with _channel(broker) as channel:
            await channel.queue_declare(queue)
            await channel.basic_consume(queue, note, no_ack=True)
            async with await psycopg.AsyncConnection.connect(url) as connection:
                for n in range(number + 1):
                    await enqueue(connection, out.message(BODY, to=queue))
                    await connection.commit()
                    committed = perf_counter()
                    arrived = await came.get()
                    if n:  # the first one waits for the worker's start
                        found.append(max(0.0, arrived - committed))
                    await asyncio.sleep(IDLE_SECONDS)
    await app.close_async()
    return found


@asynccontextmanager
async def _channel(broker: Rabbit) -> AsyncIterator[Any]:
    connection = await aiormq.connect(broker.url)
    try:
        yield await connection.channel(publisher_confirms=False)
    finally:
        await connection.close()
