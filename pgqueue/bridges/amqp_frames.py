"""AMQP's frames of messages, written and read without a library's objects for each.

For each message aiormq makes a task and several futures, and it awaits three times for each frame
that comes in: an outlet's message took 198 µs of processor time so, and takes 60 now. So frames
that publish, confirm, return and deliver go past it, by a `Bypass`; all else is aiormq's: the
handshake, heartbeats, channels and their errors. Nothing private of aiormq is used: its
TransportFactory takes our streams, and whatever either side writes is whole frames. Refused: to
speak all of AMQP ourselves, as the rest of it costs nothing by the message, and to call aiormq's
`basic_publish` for many messages at once, as what is slow is what it makes for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any, Final, NamedTuple, Protocol

from pamqp import decode, encode
from pamqp.heartbeat import Heartbeat

METHOD, HEADER, BODY = 1, 2, 3
AROUND: Final = 8
"""Bytes of a frame around what it carries."""
_BASIC: Final = 60
_PUBLISH, _RETURN, _DELIVER, _ACK, _NACK = 40, 50, 60, 80, 120
_OURS: Final = frozenset({_RETURN, _DELIVER, _ACK, _NACK})
_MULTIPLE: Final = 1
_MANDATORY: Final = b"\x01"
_END: Final = b"\xce"
_LAST: Final = 0xCE
_HEAD: Final = Struct(">BHI")
_NAME: Final = Struct(">HH")
_CONFIRM: Final = Struct(">QB")
_TAG: Final = Struct(">Q")
_CONTENT: Final = Struct(">HHQH")
_SHORT: Final = Struct(">H")
_HEARTBEAT: Final = Heartbeat().marshal()
BEAT_SECONDS: Final = 1.0


class Arrived(NamedTuple):
    """A message that the broker has handed out."""

    tag: int
    to: str
    properties: dict[str, Any]
    body: bytes


class Listener(Protocol):
    """Is told what the broker says of messages."""

    def delivered(self, message: Arrived, /) -> None: ...

    def returned(self, why: str, id: str | None, /) -> None:
        """No queue took the message *id*; its confirm is still to come."""

    def confirmed(self, tag: int, multiple: bool, taken: bool, /) -> None:
        """The message *tag*, if *multiple* all up to it, the broker has *taken*, or refused."""


class _Content:
    """A message of which the header, or some of the body, has not come yet."""

    def __init__(self, tell: Callable[[dict[str, Any], bytes], None]) -> None:
        self.tell = tell
        self.properties: dict[str, Any] = {}
        self.missing = 0
        self.parts: list[bytes] = []


class Bypass(asyncio.StreamReaderProtocol):
    """What comes in on a connection: frames about messages of *channel* go to *listener*, all
    others to *reader*, for aiormq."""

    def __init__(self) -> None:
        self._running = asyncio.get_running_loop()
        self.reader: Final = asyncio.StreamReader(loop=self._running)
        super().__init__(self.reader, loop=self._running)
        self.channel: int | None = None
        self.listener: Listener | None = None
        self._rest = b""
        self._content: _Content | None = None
        self._beaten_at = 0.0

    def listen(self, channel: int, listener: Listener) -> None:
        """From now on frames about messages on *channel* go to *listener*."""
        self.channel, self.listener = channel, listener
        self._content = None

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        if data.startswith(b"AMQP"):  # a broker of another version has no frames
            super().data_received(data)
            return
        at, end = 0, len(data)
        ours = False
        while end - at >= _HEAD.size:
            kind, channel, size = _HEAD.unpack_from(data, at)
            after = at + size + AROUND
            if after > end:
                break
            # A frame without its end is for aiormq, which then ends the connection.
            whole = channel == self.channel and data[after - 1] == _LAST
            if whole and self._take(kind, data[at + _HEAD.size : after - 1]):
                ours = True
            else:
                super().data_received(data[at:after])
            at = after
        self._rest = data[at:]
        if ours:
            self._beat()

    def _beat(self) -> None:
        """A broker that sends messages sends no heartbeats: aiormq, which sees none of them, would
        take it for dead."""
        now = self._running.time()
        if now - self._beaten_at > BEAT_SECONDS:
            self._beaten_at = now
            super().data_received(_HEARTBEAT)

    def _take(self, kind: int, frame: bytes) -> bool:
        """Whether this frame is about a message."""
        if kind == METHOD:
            of, method = _NAME.unpack_from(frame)
            if of != _BASIC or method not in _OURS:
                return False
            self._method(method, frame)
            return True
        content = self._content
        if content is None:
            return False
        if kind == HEADER:
            _, _, content.missing, flags = _CONTENT.unpack_from(frame)
            content.properties = read_properties(flags, frame[_CONTENT.size :])
        else:
            content.parts.append(frame)
            content.missing -= len(frame)
        if content.missing <= 0:
            self._content = None
            content.tell(content.properties, b"".join(content.parts))
        return True

    def _method(self, method: int, frame: bytes) -> None:
        listener = self.listener
        assert listener is not None
        if method == _DELIVER:
            at = 5 + frame[4]
            (tag,) = _TAG.unpack_from(frame, at)
            at += 9
            at += 1 + frame[at]
            _, to = _read_short(frame, at)
            deliver = listener.delivered
            self._content = _Content(
                lambda properties, body: deliver(Arrived(tag, to, properties, body))
            )
        elif method == _RETURN:
            (code,) = _SHORT.unpack_from(frame, 4)
            at, text = _read_short(frame, 6)
            at, _ = _read_short(frame, at)
            _, to = _read_short(frame, at)
            why = f"{code} {text}, routing key {to!r:.80}"
            give_back = listener.returned
            self._content = _Content(
                lambda properties, _: give_back(why, properties.get("message_id"))
            )
        else:
            tag, bits = _CONFIRM.unpack_from(frame, 4)
            listener.confirmed(tag, bool(bits & _MULTIPLE), method == _ACK)


def publishing(channel: int, exchange: str, routing_key: str) -> bytes:
    """The frame that says where a message goes; raises ValueError for a name that is too long."""
    told = _NAME.pack(_BASIC, _PUBLISH) + b"\0\0" + short(exchange) + short(routing_key)
    return _frame(METHOD, channel, told + _MANDATORY)


def content(channel: int, properties: bytes, body: bytes, room: int) -> bytes:
    """The frames of a message, whose body goes in parts of *room* bytes."""
    frames = [header(channel, properties, len(body))]
    frames += [
        _frame(BODY, channel, body[start : start + room]) for start in range(0, len(body), room)
    ]
    return b"".join(frames)


def header(channel: int, properties: bytes, size: int) -> bytes:
    """The frame of a message's properties, and of how many bytes its body is."""
    return _frame(HEADER, channel, _NAME.pack(_BASIC, 0) + _TAG.pack(size) + properties)


def _frame(kind: int, channel: int, told: bytes) -> bytes:
    return _HEAD.pack(kind, channel, len(told)) + told + _END


def short(text: str) -> bytes:
    """A text as AMQP's names are; raises ValueError if it is too long."""
    told = text.encode(errors="surrogateescape")
    if len(told) > 255:
        raise ValueError(f"longer than the 255 bytes that AMQP allows: {text:.40}…")
    return bytes((len(told),)) + told


def write_properties(
    *,
    content_type: str,
    message_id: str,
    headers: Mapping[str, Any] | None = None,
    content_encoding: str | None = None,
    correlation_id: str | None = None,
    type: str | None = None,
) -> bytes:
    """The properties of a persistent message."""
    flags, told = 0x9080, short(content_type)  # content_type, delivery_mode, message_id
    if content_encoding is not None:
        flags |= 0x4000
        told += short(content_encoding)
    if headers:
        flags |= 0x2000
        told += encode.field_table(dict(headers))
    told += b"\x02"
    if correlation_id is not None:
        flags |= 0x0400
        told += short(correlation_id)
    told += short(message_id)
    if type:
        flags |= 0x0020
        told += short(type)
    return _SHORT.pack(flags) + told


def _read_short(told: bytes, at: int) -> tuple[int, str]:
    # Whatever it is: two ids of bytes that are no UTF-8 must stay two.
    after = at + 1 + told[at]
    return after, told[at + 1 : after].decode(errors="surrogateescape")


def _read_octet(told: bytes, at: int) -> tuple[int, int]:
    return at + 1, told[at]


def _read_instant(told: bytes, at: int) -> tuple[int, int]:
    return at + 8, _TAG.unpack_from(told, at)[0]


def _read_table(told: bytes, at: int) -> tuple[int, dict[str, Any]]:
    after = at + 4 + int.from_bytes(told[at : at + 4])
    try:
        return after, decode.field_table(told[at:after])[1]
    except Exception:  # of a sender with types of its own; the message itself can be read
        return after, {}


_PROPERTIES: Final[tuple[tuple[str, Callable[[bytes, int], tuple[int, Any]]], ...]] = (
    ("content_type", _read_short),
    ("content_encoding", _read_short),
    ("headers", _read_table),
    ("delivery_mode", _read_octet),
    ("priority", _read_octet),
    ("correlation_id", _read_short),
    ("reply_to", _read_short),
    ("expiration", _read_short),
    ("message_id", _read_short),
    ("timestamp", _read_instant),
    ("type", _read_short),
    ("user_id", _read_short),
    ("app_id", _read_short),
    ("cluster_id", _read_short),
)


@lru_cache(maxsize=64)
def _present(flags: int) -> tuple[tuple[str, Callable[[bytes, int], tuple[int, Any]]], ...]:
    return tuple(each for n, each in enumerate(_PROPERTIES) if flags & 0x8000 >> n)


def read_properties(flags: int, told: bytes) -> dict[str, Any]:
    """The properties that are there."""
    found = {}
    at = 0
    for name, read in _present(flags):
        at, found[name] = read(told, at)
    return found
