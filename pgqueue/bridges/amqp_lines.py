"""Open ways to an AMQP broker, by aiormq: imported only when one is opened.

Any loss ends connection, channel and all that is in hand. aiormq knows no channels that reopen
under us, on which old delivery tags would mean other messages.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiormq.channel import Channel
from aiormq.connection import Connection, TransportFactory
from aiormq.exceptions import (
    AMQPChannelError,
    AMQPError,
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from yarl import URL

from pgqueue.bridges.amqp_frames import (
    AROUND,
    Arrived,
    Bypass,
    Listener,
    content,
    header,
    publishing,
    write_properties,
)
from pgqueue.bridges.base import (
    DELIVERED,
    Again,
    Answer,
    Message,
    Never,
    Returned,
    Unknown,
    Unreachable,
)
from pgqueue.bridges.secrets import Secret, reveal, said

if TYPE_CHECKING:
    from pgqueue.bridges.amqp import Exchange

OPEN_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0
_FRAME_BYTES: Final = 131_072
_WRITE_BYTES: Final = 65_536
_OTHERS_BYTES: Final = 2_000
"""No more than these are a message's properties but for its headers."""
_TLS: Final = ("cafile", "capath", "certfile", "keyfile")
_PORTS: Final = {"amqp": 5672, "amqps": 5671}


class Wire:
    """A connection of aiormq, and the bypass beside it."""

    def __init__(
        self, connection: Connection, bypass: Bypass, writer: asyncio.StreamWriter
    ) -> None:
        self.connection = connection
        self.bypass = bypass
        self.writer = writer

    async def channel(self, listener: Listener, *, confirms: bool) -> Channel:
        """Open a channel, whose messages *listener* hears of."""
        channel = await self.connection.channel(publisher_confirms=confirms)
        assert isinstance(channel, Channel)
        self.bypass.listen(channel.number, listener)
        return channel

    async def close(self) -> None:
        """Close it, however it is; raises nothing."""
        await hang_up(self.connection)


class _Flight:
    """Messages on a channel of which the broker has yet to say what became of them: one future for
    all."""

    def __init__(self, messages: Sequence[Message], first: int) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers: list[Answer | None] = [None] * len(messages)
        self._messages = messages
        self._first = first  # the delivery tag of the first
        self._heard = bytearray(len(messages))
        self._missing = len(messages)
        self._where: dict[str | None, int] | None = None
        self._below = 0  # all before this one have been heard of

    def returned(self, why: str, id: str | None) -> None:
        if self._where is None:  # few batches have one that is returned
            self._where = {message.id: n for n, message in enumerate(self._messages)}
        n = self._where.get(id)
        if n is not None:  # whether its confirm has come or not
            self.answers[n] = Returned(why)

    def confirmed(self, tag: int, multiple: bool, taken: bool) -> None:
        last = tag - self._first
        if not 0 <= last < len(self._messages):  # of an earlier one, which has been given up
            return
        answer = DELIVERED if taken else Again("refused by the broker: basic.nack")
        for n in range(self._below if multiple else last, last + 1):
            if not self._heard[n]:
                self._heard[n] = 1
                self._missing -= 1
                self.answers[n] = self.answers[n] or answer
        if multiple:
            self._below = last + 1
        if not self._missing:
            self.end()

    def end(self, _: object = None) -> None:
        """No more will be heard."""
        if not self.ended.done():
            self.ended.set_result(None)

    def told(self, n: int) -> Answer | None:
        """What the broker has said of this one for good."""
        return self.answers[n] if self._heard[n] else None


class ExchangeLine:
    """A connection with one channel in confirm mode."""

    @classmethod
    async def to(cls, exchange: Exchange) -> ExchangeLine:
        """Return an open line; raises Unreachable."""
        line = cls(exchange, await connect(exchange.url, insecure=exchange.insecure))
        try:
            await line.open_channel()
        except BaseException:
            await line.close()
            raise
        return line

    def __init__(self, exchange: Exchange, wire: Wire) -> None:
        self._exchange = exchange
        self._wire = wire
        self._channel: Channel | None = None
        self._published = 0
        self._flight = _Flight((), 1)

    async def open_channel(self) -> None:
        """Open a channel in place of the one that the broker has closed; raises Unreachable."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                self._channel = await self._wire.channel(self, confirms=True)
                self._published = 0
                if self._exchange.declare and self._exchange.name:
                    await self._channel.exchange_declare(
                        self._exchange.name, exchange_type=self._exchange.kind, durable=True
                    )
        except (AMQPError, OSError, RuntimeError, TimeoutError) as error:
            raise Unreachable(f"{self._exchange.place}: {said(error)}") from None

    def delivered(self, message: Arrived) -> None:
        """Nothing: there is no consumer here."""

    def returned(self, why: str, id: str | None) -> None:
        """No queue took the message *id* of those in flight."""
        self._flight.returned(f"returned by the broker: {why}", id)

    def confirmed(self, tag: int, multiple: bool, taken: bool) -> None:
        """What the broker says of one in flight, or of all up to it."""
        self._flight.confirmed(tag, multiple, taken)

    async def send(self, messages: Sequence[Message]) -> Sequence[Answer]:
        large = {message.id for message in messages if not self._fits(message)}
        if not large:
            return await self._send(messages)
        fitting = [message for message in messages if message.id not in large]
        told = iter(await self._send(fitting) if fitting else ())
        why = f"its headers need more than a frame of {self._room + AROUND:,} bytes, the broker's"
        return [Never(why) if message.id in large else next(told) for message in messages]

    @property
    def _room(self) -> int:
        """How many bytes a frame carries."""
        return (self._wire.connection.connection_tune.frame_max or _FRAME_BYTES) - AROUND

    def _fits(self, message: Message) -> bool:
        """Whether a single frame, as AMQP has it, holds the headers of *message*. A broker that is
        sent a larger one closes the connection."""
        chars = sum(len(name) + len(text) + 2 for name, text in message.headers.items())
        if 4 * chars < self._room - _OTHERS_BYTES:
            return True
        return len(header(0, self._properties(message), 0)) - AROUND <= self._room

    async def _send(self, messages: Sequence[Message]) -> Sequence[Answer]:
        answers = await self._publish_all(messages)
        if any(isinstance(answer, _Closed) for answer in answers):
            with suppress(Unreachable):
                await self._mend(messages, answers)
        return [Unknown(a.why) if isinstance(a, _Closed) else a for a in answers]

    async def _mend(self, messages: Sequence[Message], answers: list[Answer | _Closed]) -> None:
        """For one bad message the broker closes the channel, and answers for none of the others.
        Sent one by one, each shows whether it is the bad one."""
        left = [n for n, answer in enumerate(answers) if isinstance(answer, _Closed)]
        # What is still written on the closed channel makes the broker close the connection, too.
        await self._wire.close()
        self._wire = await connect(self._exchange.url, insecure=self._exchange.insecure)
        await self.open_channel()
        for n in left:
            [answers[n]] = await self._publish_all([messages[n]])
            answer = answers[n]
            if not isinstance(answer, _Closed):
                continue
            answers[n] = Again(answer.why)
            await self.open_channel()
            if answer.code == 404:  # the exchange does not exist, so none of them can be sent
                for other in left:
                    answers[other] = Again(answer.why)
                break

    async def _publish_all(self, messages: Sequence[Message]) -> list[Answer | _Closed]:
        channel = self._channel
        assert channel is not None
        self._flight = flight = _Flight(messages, self._published + 1)
        self._published += len(messages)
        closing = channel.closing
        closing.add_done_callback(flight.end)
        unknown = "the connection was closed"
        try:
            async with asyncio.timeout(self._exchange.timeout):
                await self._write(messages, channel, flight)
                await flight.ended
        except TimeoutError:
            # A broker in a memory alarm reads no more, but delivers what it has read.
            unknown = f"no confirm within {self._exchange.timeout:g} s"
        except OSError as error:
            unknown = said(error)
        finally:
            closing.cancel()
        lost = _closed(channel) or Unknown(unknown)
        return [flight.told(n) or lost for n in range(len(messages))]

    async def _write(self, messages: Sequence[Message], channel: Channel, flight: _Flight) -> None:
        """Write the frames of all, many at once."""
        writer, number, exchange = self._wire.writer, channel.number, self._exchange
        room = self._room
        parts: list[bytes] = []
        ready = 0
        to = where = None
        for message in messages:
            if where is None or message.to != to:
                to = message.to
                key = exchange.routing_key if to is None else to
                where = publishing(number, exchange.name, key)
            part = where + content(number, self._properties(message), message.body, room)
            parts.append(part)
            ready += len(part)
            if ready >= _WRITE_BYTES:
                writer.write(b"".join(parts))
                parts, ready = [], 0
                await writer.drain()
                if flight.ended.done():  # the channel has been closed
                    return
        writer.write(b"".join(parts))
        await writer.drain()

    def _properties(self, message: Message) -> bytes:
        return write_properties(
            content_type=message.content_type,
            headers=message.headers,
            message_id=message.id,
            type=message.type,
        )

    async def close(self) -> None:
        await self._wire.close()


@dataclass(frozen=True, slots=True)
class _Closed:
    """The broker has closed the channel, because of this message or of another."""

    code: int | None
    why: str

    @classmethod
    def by(cls, error: AMQPChannelError) -> _Closed:
        codes: dict[type[AMQPChannelError], int] = {
            ChannelAccessRefused: 403,
            ChannelNotFoundEntity: 404,
            ChannelLockedResource: 405,
            ChannelPreconditionFailed: 406,
        }
        code = codes.get(type(error))
        text = " ".join(str(arg) for arg in error.args if arg)[:300]
        return cls(code, f"the broker closed the channel: {code or ''} {text}".strip())


def _closed(channel: Channel) -> _Closed | None:
    """Whether the broker has closed *channel*, also for who came to it a moment later."""
    closing = channel.closing
    error = closing.exception() if closing.done() and not closing.cancelled() else None
    return _Closed.by(error) if isinstance(error, AMQPChannelError) else None


class _Opened(TransportFactory):
    """A connection's streams, opened by us: so an outage is not an error in another's log."""

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._streams = streams

    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return self._streams


async def connect(secret: Secret, *, insecure: bool) -> Wire:
    """Return an open connection; raises Unreachable."""
    text = reveal(secret, "the AMQP URL")
    try:
        url = URL(text)
        usual = _PORTS[url.scheme]
        host, port = url.host or "", url.explicit_port or usual
        if not host:
            raise ValueError
    except (ValueError, KeyError):
        raise Unreachable("the AMQP URL cannot be read; give amqps://user:…@host/vhost") from None
    if "no_verify_ssl" in url.query and not insecure:
        raise Unreachable("the AMQP URL says no_verify_ssl, which takes insecure=True")
    where = f"AMQP at {host}:{port}"
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            tls = _tls(url) if url.scheme == "amqps" else None
            loop = asyncio.get_running_loop()
            transport, bypass = await loop.create_connection(Bypass, host, port, ssl=tls)
            writer = asyncio.StreamWriter(transport, bypass, bypass.reader, loop)
            connection = Connection(url, transport_factory=_Opened((bypass.reader, writer)))
            await connection.connect({"connection_name": "pgqueue"})
    except BaseException as error:
        if writer is not None:
            writer.close()
        closed = isinstance(error, asyncio.CancelledError) and not _is_cancelled()
        if not (isinstance(error, Exception) or closed):
            raise
        raise Unreachable(f"{where}: {said(error, url.password, url.user)}") from None
    return Wire(connection, bypass, writer)


def _is_cancelled() -> bool:
    """Whether the CancelledError that was caught is for this task. If not, it is aiormq's, which
    raises one wherever something waits on a connection that is closed."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _tls(url: URL) -> ssl.SSLContext:
    cafile, capath, certificate, key = (url.query.get(name) for name in _TLS)
    context = ssl.create_default_context(cafile=cafile, capath=capath)
    if certificate:
        context.load_cert_chain(certificate, key)
    if url.query.get("no_verify_ssl", "0") != "0":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def examine(
    secret: Secret, *, insecure: bool, exchange: str = "", queue: str = ""
) -> list[str]:
    """What is wrong with an exchange or a queue, as far as may be asked; raises Unreachable."""
    connection = (await connect(secret, insecure=insecure)).connection
    problems = []
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            channel = await connection.channel()
            if exchange:
                await channel.exchange_declare(exchange, passive=True)
            if queue:
                await channel.queue_declare(queue, passive=True)
    except AMQPChannelError as error:
        problems.append(_Closed.by(error).why)
    except (AMQPError, OSError, RuntimeError, TimeoutError) as error:
        raise Unreachable(said(error)) from None
    finally:
        await hang_up(connection)
    if connection.url.scheme == "amqp" and not is_here(connection.url.host):
        problems.append("the connection is not encrypted, the password is sent in the clear: amqps")
    return problems


def is_here(host: str | None) -> bool:
    """Whether *host* is this machine."""
    return host in ("localhost", "::1") or (host or "").startswith("127.")


async def hang_up(connection: Connection) -> None:
    """Close *connection*, however it is; raises nothing."""
    # A task of its own: closing rejects with a CancelledError whatever waits on the connection.
    closing = asyncio.ensure_future(connection.close(timeout=CLOSE_SECONDS))
    await asyncio.wait({closing})
    if not closing.cancelled():
        closing.exception()  # seen, and nothing to be done about it
