"""What goes past aiormq is the same on the wire as what pamqp writes and reads."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from pgqueue.bridges import amqp_frames
from pgqueue.bridges.amqp_frames import Arrived, Bypass, content, publishing, write_properties

ROOM = 100
shorts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
headers = st.dictionaries(
    # pamqp cuts the name of a header at 128 bytes
    shorts.map(lambda text: text[:30]),
    st.one_of(st.text(max_size=20), st.integers(-(2**31), 2**31 - 1), st.booleans()),
)


class Heard:
    """A listener that remembers, in the order in which it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def delivered(self, message: Arrived) -> None:
        self.told.append(message)

    def returned(self, why: str, id: str | None) -> None:
        self.told.append((why, id))

    def confirmed(self, tag: int, multiple: bool, taken: bool) -> None:
        self.told.append((tag, multiple, taken))


def _read(wire: bytes) -> list[Any]:
    """What pamqp reads: frames of channel 7."""
    found = []
    while wire:
        size, channel, each = frame.unmarshal(wire)
        assert channel == 7
        found.append(each)
        wire = wire[size:]
    return found


@given(shorts, shorts, shorts, headers, st.none() | shorts, st.binary(max_size=350))
def test_a_message_is_written_as_pamqp_reads_it(
    exchange: str, key: str, id: str, headers: dict[str, Any], type: str | None, body: bytes
) -> None:
    told = write_properties(
        content_type="text/x", message_id=id, headers=headers, type=type, correlation_id="c"
    )

    publish, header, *bodies = _read(publishing(7, exchange, key) + content(7, told, body, ROOM))

    assert (publish.exchange, publish.routing_key, publish.mandatory) == (exchange, key, True)
    properties = header.properties
    assert (properties.message_id, properties.delivery_mode) == (id, 2)
    assert (properties.content_type, properties.correlation_id) == ("text/x", "c")
    assert (properties.message_type, properties.headers) == (type, headers or None)
    assert header.body_size == len(body)
    assert b"".join(each.value for each in bodies) == body
    assert all(len(each.value) <= ROOM for each in bodies)


@pytest.mark.parametrize("long", ["a" * 256, "é" * 128])
def test_a_name_that_is_too_long_is_refused(long: str) -> None:
    with pytest.raises(ValueError, match="longer than the 255 bytes"):
        publishing(7, "", long)


def _delivery(tag: int, body: bytes, **properties: Any) -> bytes:
    return b"".join(
        frame.marshal(each, 7)
        for each in (
            Basic.Deliver("consumer", tag, False, "shop", "order.created"),
            ContentHeader(body_size=len(body), properties=Basic.Properties(**properties)),
            *(ContentBody(body[n : n + ROOM]) for n in range(0, len(body), ROOM)),
        )
    )


def _bypass() -> tuple[Bypass, Heard]:
    bypass, heard = Bypass(), Heard()
    bypass.listen(7, heard)
    return bypass, heard


@given(st.lists(st.binary(max_size=350), max_size=4), st.integers(1, 400))
def test_what_comes_is_read_however_it_is_cut(bodies: list[bytes], size: int) -> None:
    """And all that is not about a message on this channel is handed to aiormq as it came."""
    others = frame.marshal(Heartbeat(), 0) + frame.marshal(Channel.Close(404, "x", 0, 0), 7)
    on_another = frame.marshal(Basic.Ack(3, True), 8)
    wire = others + on_another
    for n, body in enumerate(bodies, 1):
        wire += _delivery(n, body, message_id=f"m{n}") + others

    async def come() -> tuple[list[Any], bytes]:
        bypass, heard = _bypass()
        for n in range(0, len(wire), size):
            bypass.data_received(wire[n : n + size])
        bypass.reader.feed_eof()
        return heard.told, await bypass.reader.read()

    told, rest = asyncio.run(come())

    assert told == [
        Arrived(n, "order.created", {"message_id": f"m{n}"}, body)
        for n, body in enumerate(bodies, 1)
    ]
    beat = frame.marshal(Heartbeat(), 0)
    assert rest.replace(beat, b"") == (others + on_another + others * len(bodies)).replace(
        beat, b""
    )


async def test_all_properties_are_read() -> None:
    bypass, heard = _bypass()
    given = {
        "content_type": "a", "content_encoding": "b", "headers": {"n": 1, "t": "x", "l": [1]},
        "delivery_mode": 2, "priority": 3, "correlation_id": "c", "reply_to": "d",
        "expiration": "5", "message_id": "e", "user_id": "f", "app_id": "g",
    }  # fmt: skip
    at = datetime(2026, 1, 2, tzinfo=UTC)

    bypass.data_received(_delivery(1, b"x", **given, timestamp=at, message_type="h"))

    [message] = heard.told
    assert message.properties == {**given, "timestamp": int(at.timestamp()), "type": "h"}


async def test_confirms_and_returns_are_heard_in_their_order() -> None:
    bypass, heard = _bypass()
    returned = [
        Basic.Return(312, "NO_ROUTE", "shop", "nowhere"),
        ContentHeader(body_size=1, properties=Basic.Properties(message_id="m")),
        ContentBody(b"x"),
        Basic.Ack(4, False),
        Basic.Ack(9, True),
        Basic.Nack(10, False, False),
    ]

    bypass.data_received(b"".join(frame.marshal(each, 7) for each in returned))

    assert heard.told == [
        ("312 NO_ROUTE, routing key 'nowhere'", "m"),
        (4, False, True),
        (9, True, True),
        (10, False, False),
    ]


async def test_headers_that_cannot_be_read_lose_no_message() -> None:
    """A connection that failed of them would have the broker hand the message out for ever."""
    bypass, heard = _bypass()
    wire = _delivery(1, b"x", message_id="m", headers={"a": "x"})
    of_no_type = wire.replace(b"\x01aS", b"\x01a\xff")
    assert of_no_type != wire

    bypass.data_received(of_no_type)

    [message] = heard.told
    assert (message.properties["headers"], message.properties["message_id"]) == ({}, "m")


async def test_two_ids_that_are_no_text_stay_two() -> None:
    bypass, heard = _bypass()
    for n, raw in enumerate((b"\xfe", b"\xff"), 1):
        bypass.data_received(_delivery(n, b"x", message_id="?").replace(b"\x01?", b"\x01" + raw))

    one, other = (message.properties["message_id"] for message in heard.told)
    assert one != other


async def test_a_busy_broker_is_not_taken_for_a_dead_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends no heartbeats while it sends messages, and aiormq sees none of these."""
    monkeypatch.setattr(amqp_frames, "BEAT_SECONDS", 0.0)
    bypass, _ = _bypass()

    for tag in range(3):
        bypass.data_received(frame.marshal(Basic.Ack(tag, False), 7))
    bypass.reader.feed_eof()

    assert set(await bypass.reader.read()) == set(frame.marshal(Heartbeat(), 0))


async def test_a_broker_of_another_version_is_left_to_aiormq() -> None:
    bypass, _ = _bypass()

    bypass.data_received(b"AMQP\x00\x01\x00\x00")
    bypass.reader.feed_eof()

    assert await bypass.reader.read() == b"AMQP\x00\x01\x00\x00"


async def test_a_frame_without_its_end_is_left_to_aiormq_which_ends_the_connection() -> None:
    bypass, heard = _bypass()
    broken = frame.marshal(Basic.Ack(1, False), 7)[:-1] + b"x"

    bypass.data_received(broken)
    bypass.reader.feed_eof()

    assert heard.told == []
    assert await bypass.reader.read() == broken


async def test_a_channel_that_closes_amid_a_message_leaves_nothing_to_the_next_one() -> None:
    bypass, heard = _bypass()
    closed = frame.marshal(Channel.Close(404, "x", 0, 0), 7)
    begun = _delivery(1, b"x" * 150, message_id="m1")[: -(50 + 8)]

    bypass.data_received(begun + closed)
    bypass.listen(7, heard)
    bypass.data_received(_delivery(1, b"y", message_id="m2"))
    bypass.reader.feed_eof()

    assert heard.told == [Arrived(1, "order.created", {"message_id": "m2"}, b"y")]
    assert closed in await bypass.reader.read()
