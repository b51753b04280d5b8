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
from typing import TYPE_CHECKING, Any, Final, cast

from aiormq.channel import Channel
from aiormq.connection import Connection, TransportFactory
from aiormq.exceptions import (
    AMQPChannelError,
    AMQPError,
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
    PublishError,
)
from pamqp.commands import Basic
from yarl import URL

from pgqueue.bridges.base import DELIVERED, Again, Answer, Message, Unknown, Unreachable
from pgqueue.bridges.secrets import Secret, reveal, said

if TYPE_CHECKING:
    from pgqueue.bridges.amqp import Exchange

OPEN_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0
_TLS: Final = ("cafile", "capath", "certfile", "keyfile")
_PORTS: Final = {"amqp": 5672, "amqps": 5671}


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

    def __init__(self, exchange: Exchange, connection: Connection) -> None:
        self._exchange = exchange
        self._connection = connection
        self._channel: Channel | None = None

    async def open_channel(self) -> None:
        """Open a channel in place of the one that the broker has closed; raises Unreachable."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                opened = await self._connection.channel(publisher_confirms=True)
                self._channel = cast(Channel, opened)
                if self._exchange.declare and self._exchange.name:
                    await self._channel.exchange_declare(
                        self._exchange.name, exchange_type=self._exchange.kind, durable=True
                    )
        except (AMQPError, OSError, RuntimeError, TimeoutError) as error:
            raise Unreachable(f"{self._exchange.place}: {said(error)}") from None

    async def send(self, messages: Sequence[Message]) -> Sequence[Answer]:
        answers = await self._publish_all(messages)
        if any(isinstance(answer, _Closed) for answer in answers):
            with suppress(Unreachable):
                await self._mend(messages, answers)
        return [Unknown(a.why) if isinstance(a, _Closed) else a for a in answers]

    async def _mend(self, messages: Sequence[Message], answers: list[Answer | _Closed]) -> None:
        """For one bad message the broker closes the channel, and answers for none of the others.
        Sent one by one, each shows whether it is the bad one."""
        left = [n for n, answer in enumerate(answers) if isinstance(answer, _Closed)]
        # What aiormq still writes on the closed channel makes the broker close the connection, too.
        await hang_up(self._connection)
        self._connection = await connect(self._exchange.url, insecure=self._exchange.insecure)
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
        calls = [asyncio.ensure_future(self._publish(message)) for message in messages]
        try:
            _, late = await asyncio.wait(calls, timeout=self._exchange.timeout)
        finally:
            for call in calls:
                call.cancel()
        if late:  # unknown: a broker in a memory alarm reads no more, but delivers what it has read
            await asyncio.wait(late)
        why = f"no confirm within {self._exchange.timeout:g} s"
        return [Unknown(why) if call in late else call.result() for call in calls]

    def _properties(self, message: Message) -> Basic.Properties:
        return Basic.Properties(
            content_type=message.content_type,
            delivery_mode=2,
            headers=dict(message.headers) or None,
            message_id=message.id,
            message_type=message.type,
        )

    async def _publish(self, message: Message) -> Answer | _Closed:
        channel = self._channel
        assert channel is not None
        to = self._exchange.routing_key if message.to is None else message.to
        properties = self._properties(message)
        try:
            await channel.basic_publish(
                message.body,
                exchange=self._exchange.name,
                routing_key=to,
                properties=properties,
                mandatory=True,
                wait=False,
            )
        except PublishError as error:
            returned = error.frame
            return Again(
                f"returned by the broker: {getattr(returned, 'reply_code', '')} "
                f"{getattr(returned, 'reply_text', '')}, routing key {to!r:.80}"
            )
        except DeliveryError as error:
            return Again(f"refused by the broker: {error.frame.name}")
        except AMQPChannelError as error:
            return _Closed.by(error)
        except (AMQPError, OSError, RuntimeError) as error:
            return _closed(channel) or Unknown(said(error))
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            return _closed(channel) or Unknown("the connection was closed")
        return DELIVERED

    async def close(self) -> None:
        await hang_up(self._connection)


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


async def connect(secret: Secret, *, insecure: bool) -> Connection:
    """Return an open connection; raises Unreachable."""
    text = reveal(secret, "the AMQP URL")
    try:
        url = URL(text)
        usual = _PORTS[url.scheme]
        port = url.explicit_port or usual
    except (ValueError, KeyError):
        raise Unreachable("the AMQP URL cannot be read; give amqps://user:…@host/vhost") from None
    if "no_verify_ssl" in url.query and not insecure:
        raise Unreachable("the AMQP URL says no_verify_ssl, which takes insecure=True")
    where = f"AMQP at {url.host}:{port}"
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            tls = _tls(url) if url.scheme == "amqps" else None
            reader, writer = await asyncio.open_connection(url.host, port, ssl=tls)
            connection = Connection(url, transport_factory=_Opened((reader, writer)))
            await connection.connect({"connection_name": "pgqueue"})
    except BaseException as error:
        if writer is not None:
            writer.close()
        closed = isinstance(error, asyncio.CancelledError) and not _is_cancelled()
        if not (isinstance(error, Exception) or closed):
            raise
        raise Unreachable(f"{where}: {said(error, url.password, url.user)}") from None
    return connection


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
    connection = await connect(secret, insecure=insecure)
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
