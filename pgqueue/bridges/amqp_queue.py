"""An open way from an AMQP queue, by aiormq: imported only when one is opened."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import AMQPError

from pgqueue.bridges.amqp_frames import Arrived
from pgqueue.bridges.amqp_lines import OPEN_SECONDS, Wire, connect
from pgqueue.bridges.base import Received, Unreachable
from pgqueue.bridges.secrets import said

if TYPE_CHECKING:
    from pgqueue.bridges.amqp import Queue


class QueueLine:
    """A connection with one channel, and one consumer on it.

    A consumer that the broker cancels, since its queue was deleted or moved, is a loss like any
    other: else it would wait for ever.
    """

    @classmethod
    async def to(cls, queue: Queue) -> QueueLine:
        """Return a line on which messages come in; raises Unreachable."""
        line = cls(queue, await connect(queue.url, insecure=queue.insecure))
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await line._consume()
        except (AMQPError, OSError, RuntimeError, TimeoutError) as error:
            await line.close()
            raise Unreachable(f"{queue.place}: {said(error)}") from None
        except BaseException:
            await line.close()
            raise
        return line

    def __init__(self, queue: Queue, wire: Wire) -> None:
        self._queue = queue
        self._wire = wire
        self._channel: Channel | None = None
        self._came: deque[Received] = deque()
        self._some = asyncio.Event()
        self._lost: str | None = None

    async def _consume(self) -> None:
        channel = self._channel = await self._wire.channel(self, confirms=False)
        channel.closing.add_done_callback(self._closed)
        channel.on_consumer_cancel_callbacks.add(
            lambda _: self._lose("the broker cancelled the consumer")
        )
        if self._queue.declare:
            await channel.queue_declare(self._queue.name, durable=True)
        await channel.basic_qos(prefetch_count=self._queue.prefetch)
        await channel.basic_consume(self._queue.name, _past)

    def delivered(self, message: Arrived) -> None:
        """A message has come in."""
        self._came.append(self._received(message))
        self._some.set()

    def returned(self, why: str, id: str | None) -> None:
        """Nothing: none is sent here."""

    def confirmed(self, tag: int, multiple: bool, taken: bool) -> None:
        """Nothing: none is sent here."""

    def _closed(self, closing: asyncio.Future[Any]) -> None:
        error = None if closing.cancelled() else closing.exception()
        self._lose("the channel was closed" if error is None else said(error))

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._lost = why
            self._some.set()

    async def take(self, limit: int) -> Sequence[Received]:
        await self._some.wait()
        if self._lost is not None:
            raise Unreachable(f"{self._queue.place}: {self._lost}")
        came = self._came
        found = [came.popleft() for _ in range(min(limit, len(came)))]
        if not came:
            self._some.clear()
        return found

    def _received(self, message: Arrived) -> Received:
        return received(message)

    async def settle(self, messages: Sequence[Received]) -> None:
        # In the order of their tags, and all before them are settled: one answer is for all.
        assert self._channel is not None
        try:
            await self._channel.basic_ack(messages[-1].receipt, multiple=True, wait=False)
        except (AMQPError, OSError, RuntimeError) as error:
            raise Unreachable(f"{self._queue.place}: {said(error)}") from None

    async def release(self, messages: Sequence[Received]) -> None:
        """Nothing to do: the broker has them back as soon as the line is closed."""

    async def close(self) -> None:
        await self._wire.close()


async def _past(_: DeliveredMessage) -> None:
    """Never called: messages come through the bypass."""


def received(message: Arrived) -> Received:
    """What a delivery is to an inlet."""
    told = message.properties
    headers = told.get("headers")
    return Received(
        body=message.body,
        id=told.get("message_id") or None,
        to=message.to,
        type=told.get("type") or None,
        headers=texts(headers) if headers else {},
        receipt=message.tag,
    )


def texts(headers: Mapping[str, Any]) -> dict[str, str]:
    """The headers that are texts or numbers, as texts."""
    return {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for name, value in headers.items()
        if isinstance(value, (str, bytes, int, float, bool))
    }
