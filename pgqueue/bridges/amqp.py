"""AMQP 0-9-1: RabbitMQ and what speaks as it does. `pip install 'pgqueue[amqp]'`.

Every message is persistent, mandatory and confirmed: one that no queue would take, or that the
broker refuses, never counts as sent. Nothing is declared unless *declare* says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from pgqueue.bridges.base import Message, SinkLine, SourceLine, Unreachable
from pgqueue.bridges.secrets import Secret
from pgqueue.errors import installed

MAX_HEADER_BYTES: Final = 128
"""Of the name of a header."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange to publish to; "" is the default one, which routes to the queue *to*.

    *url*: `amqps://user:password@host/vhost`, or `env:NAME`; `?cafile=` and `?certfile=`,
    `?keyfile=` say how TLS is checked. *routing_key*: for messages that say no *to*. *timeout*: how
    many seconds to wait for the broker's confirms; then their fate is unknown, and they are sent
    again. *declare*: make the exchange, durable, of this *kind*. *insecure* allows `no_verify_ssl`.
    """

    name: str
    url: Secret = field(default="env:AMQP_URL", repr=False)
    routing_key: str = ""
    timeout: float = 30.0
    declare: bool = False
    kind: str = "topic"
    insecure: bool = False
    batch: int = 1_000
    parallel: int = 1

    @property
    def place(self) -> str:
        return f"AMQP exchange {self.name or '(default)'}"

    def check(self, message: Message) -> None:
        _short("to, the routing key", message.to)
        _short("id", message.id)
        _short("type", message.type)
        if any(len(name.encode()) > MAX_HEADER_BYTES for name in message.headers):
            raise ValueError(f"headers: a name longer than the {MAX_HEADER_BYTES} bytes of AMQP")

    async def open(self) -> SinkLine:
        with installed("amqp", Unreachable):
            from pgqueue.bridges.amqp_lines import ExchangeLine
        return await ExchangeLine.to(self)

    async def examine(self) -> Sequence[str]:
        with installed("amqp", Unreachable):
            from pgqueue.bridges import amqp_lines
        return await amqp_lines.examine(self.url, exchange=self.name, insecure=self.insecure)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue to take messages from; it must exist, unless *declare* makes it, durable.

    *url*, *insecure*: as of an `Exchange`. *prefetch*: how many messages the broker hands out
    before the first of them is acknowledged.
    """

    name: str
    url: Secret = field(default="env:AMQP_URL", repr=False)
    prefetch: int = 200
    declare: bool = False
    insecure: bool = False

    @property
    def batch(self) -> int:
        return self.prefetch

    @property
    def place(self) -> str:
        return f"AMQP queue {self.name}"

    async def open(self) -> SourceLine:
        with installed("amqp", Unreachable):
            from pgqueue.bridges.amqp_queue import QueueLine
        return await QueueLine.to(self)

    async def examine(self, keep: timedelta | None = None, /) -> Sequence[str]:
        # AMQP does not tell for how long a queue keeps its messages.
        with installed("amqp", Unreachable):
            from pgqueue.bridges import amqp_lines
        return await amqp_lines.examine(self.url, queue=self.name, insecure=self.insecure)


def _short(what: str, value: str | None) -> None:
    if value is not None and len(value.encode()) > 255:
        raise ValueError(f"{what}: longer than the 255 bytes that AMQP allows")
