"""What a bridge costs: ratios to a bare loop of the same client library, in the same run.

`python -m benchmarks bridges`. PostgreSQL and RabbitMQ are started here and share the machine with
what is measured; each figure is the median of the runs, and each run has both sides, one after the
other. Out: a worker that drains its queue, against publishing and waiting for confirms, a thousand
at once. In: a worker that has made jobs of all, against consuming and acknowledging. A worker's
start is counted, so measure many.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter

import aiormq
from pamqp.commands import Basic
from rich.console import Console

from benchmarks import tables
from pgqueue import App, embedded
from pgqueue.bridges import amqp
from pgqueue.migrations import migrate
from pgqueue.operations import inspections
from pgqueue.worker import Options, Worker
from tests.bridges import rabbit
from tests.bridges.rabbit import Rabbit

BODY = b'{"id": 7, "text": "a body as long as most are, a hundred bytes or so, with a few fields"}'
IN_FLIGHT = 1_000


def main(size: int | None, repeat: int | None) -> None:
    """Measure, and show the ratios."""
    number, times = size or 10_000, repeat or 3
    if rabbit.program() is None:
        raise SystemExit(f"no RabbitMQ here: {rabbit.CURE}")
    with embedded.start(None, ephemeral=True) as server, rabbit.server() as broker:
        migrate(server.url)
        found = asyncio.run(_measured(server.url, broker, number, times))
    console = Console()
    for name, rates in found.items():
        bare, ours = (statistics.median(side) for side in zip(*rates, strict=True))
        console.print(
            f"{name}: {tables.number(ours)}/s, bare {tables.number(bare)}/s, "
            f"ratio {ours / bare:.2f}"
        )


async def _measured(
    url: str, broker: Rabbit, number: int, times: int
) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for n in range(times):
        queue = f"bench{n}"
        with broker.connect() as connection:
            connection.channel().queue_declare(queue, durable=True)
        sides: dict[str, tuple[Callable[[], Awaitable[float]], Callable[[], Awaitable[float]]]] = {
            "AMQP out, ordered by key": (
                partial(_publish, broker, queue, number),
                partial(_outlet, url, broker, queue, number, ordered=True),
            ),
            "AMQP out, not ordered": (
                partial(_publish, broker, queue, number),
                partial(_outlet, url, broker, queue, number, ordered=False),
            ),
            "AMQP in": (
                partial(_consume, broker, queue, number),
                partial(_inlet, url, broker, queue, number),
            ),
        }
        for name, (bare, ours) in sides.items():
            found.setdefault(name, []).append((number / await bare(), number / await ours()))
    return found


async def _publish(broker: Rabbit, queue: str, number: int) -> float:
    """Publish and wait for confirms, a thousand at once; seconds."""
    connection = await aiormq.connect(broker.url)
    channel = await connection.channel()
    began = perf_counter()
    for start in range(0, number, IN_FLIGHT):
        await asyncio.gather(
            *(
                channel.basic_publish(
                    BODY,
                    routing_key=queue,
                    properties=Basic.Properties(message_id=f"{began}-{n}", delivery_mode=2),
                    mandatory=True,
                    wait=False,
                )
                for n in range(start, min(number, start + IN_FLIGHT))
            )
        )
    taken = perf_counter() - began
    await connection.close()
    return taken


async def _consume(broker: Rabbit, queue: str, number: int) -> float:
    """Consume, and acknowledge by the hundred; seconds."""
    connection = await aiormq.connect(broker.url)
    channel = await connection.channel(publisher_confirms=False)
    await channel.basic_qos(prefetch_count=400)
    seen, done = 0, asyncio.Event()

    async def came(message: aiormq.abc.DeliveredMessage) -> None:
        nonlocal seen
        seen += 1
        if seen % 100 == 0 or seen == number:
            assert message.delivery_tag is not None
            await channel.basic_ack(message.delivery_tag, multiple=True, wait=False)
        if seen == number:
            done.set()

    began = perf_counter()
    await channel.basic_consume(queue, came)
    await done.wait()
    taken = perf_counter() - began
    await connection.close()
    return taken


async def _outlet(url: str, broker: Rabbit, queue: str, number: int, *, ordered: bool) -> float:
    """Send what waits in PostgreSQL, from the first job to the last; seconds."""
    app = App(url)
    out = app.outlet("out", amqp.Exchange("", broker.url), ordered=ordered)
    body = {"id": 7, "text": "a body as long as most are, a hundred bytes or so"}
    for start in range(0, number, IN_FLIGHT):
        await app.enqueue_async(
            [out.message(body, to=queue) for _ in range(start, min(number, start + IN_FLIGHT))]
        )
    worker = Worker(app, Options(queues="out", concurrency=IN_FLIGHT, drain=True))
    began = perf_counter()
    await worker.run()
    return perf_counter() - began


async def _inlet(url: str, broker: Rabbit, queue: str, number: int) -> float:
    """Make jobs of what waits in the broker, until the last is committed; seconds."""
    app = App(url)

    @app.task
    async def settle(id: int, text: str) -> None: ...

    app.inlet("come", amqp.Queue(queue, broker.url, prefetch=400), settle)
    worker = Worker(app, Options(queues="other", inlets=True))
    before = await _count(app)
    began = perf_counter()
    running = asyncio.create_task(worker.run())
    while True:
        if await _count(app) >= before + number:
            break
        await asyncio.sleep(0.01)
    taken = perf_counter() - began
    worker.stop()
    await running
    return taken


async def _count(app: App) -> int:
    counted = await app.execute_async(inspections.count(1_000_000))
    return sum(each.count for each in counted.counts if each.queue == "default")
