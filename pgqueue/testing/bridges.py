"""What an adapter of `pgqueue.bridges` must do, as tests for your suite.

    from pgqueue.testing.bridges import SinkTests, SinkRig

    class TestMySink(SinkTests):
        @pytest.fixture
        async def rig(self) -> AsyncIterator[SinkRig]:
            yield MyRig(...)

A rig is your broker as the tests need it: it says what has arrived, puts messages in, goes away and
comes back. The tests are coroutines: install pytest-asyncio, with ``asyncio_mode = "auto"``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import pytest

from pgqueue.bridges import (
    Answer,
    Delivered,
    Message,
    Received,
    Sink,
    SinkLine,
    Source,
    SourceLine,
    Unknown,
    Unreachable,
)
from pgqueue.bridges.sender import Sender

PATIENCE_SECONDS = 30.0


class SinkRig(Protocol):
    """A broker, and a sink that leads to it."""

    sink: Sink
    to: str | None
    """The place that a message has to name to arrive; None where it names none."""
    nowhere: str | None
    """A place for which messages are refused; None where none is."""

    async def arrived(self, number: int) -> Sequence[tuple[str, bytes]]:
        """Wait until *number* messages have arrived, and return their ids and bodies, in order."""
        ...

    async def go_away(self) -> None: ...

    async def come_back(self) -> None: ...


class SourceRig(Protocol):
    """A broker, and a source that takes from it."""

    source: Source

    async def put(self, *messages: tuple[str, bytes]) -> None:
        """Put messages with these ids and bodies into the queue."""
        ...

    async def go_away(self) -> None: ...

    async def come_back(self) -> None: ...


class SinkTests:
    """What a sink must do; subclasses give the fixture *rig*."""

    async def test_answers_for_each_in_order_and_all_arrive(self, rig: SinkRig) -> None:
        line = await rig.sink.open()
        given = _messages(rig, 1, 2, 3)

        answers = await _send(rig.sink, line, given)

        assert answers == [Delivered()] * 3
        assert await rig.arrived(3) == [(message.id, message.body) for message in given]
        await line.close()

    async def test_any_bytes_are_a_body(self, rig: SinkRig) -> None:
        line = await rig.sink.open()
        body = bytes(range(256))
        given = Message(id="bytes", body=body, content_type="application/octet-stream", to=rig.to)

        assert await _send(rig.sink, line, [given]) == [Delivered()]
        [(id, came)] = await rig.arrived(1)

        assert id == "bytes"
        assert came == body
        await line.close()

    async def test_one_that_is_refused_does_not_count_as_sent_and_fails_no_other(
        self, rig: SinkRig
    ) -> None:
        if rig.nowhere is None:
            pytest.skip("this broker refuses nothing")
        line = await rig.sink.open()
        good, other = _messages(rig, 1, 2)
        refused = Message(id="refused", body=b"0", to=rig.nowhere)

        first, second, third = await _send(rig.sink, line, [good, refused, other])

        assert (first, third) == (Delivered(), Delivered())
        assert not isinstance(second, (Delivered, Unknown))
        assert [id for id, _ in await rig.arrived(2)] == [good.id, other.id]
        await line.close()

    async def test_a_line_may_be_closed_twice(self, rig: SinkRig) -> None:
        line = await rig.sink.open()

        await line.close()
        await line.close()

    async def test_a_broker_that_is_away_is_unreachable(self, rig: SinkRig) -> None:
        line = await rig.sink.open()
        await rig.go_away()
        try:
            with pytest.raises(Unreachable):
                await rig.sink.open()
            answers: Sequence[Answer] = [Unknown("")]
            with suppress(Unreachable):
                answers = await line.send(_messages(rig, 1))
            assert [type(answer) for answer in answers] == [Unknown]
            await line.close()
        finally:
            await rig.come_back()

    async def test_what_could_not_be_sent_arrives_afterwards(self, rig: SinkRig) -> None:
        sender = Sender(rig.sink)
        [first, second] = _messages(rig, 1, 2)
        assert await sender.send(first) == Delivered()
        await rig.go_away()
        with pytest.raises(Unreachable):
            await sender.send(second)
        assert sender.shut_since is not None

        opened = asyncio.Event()
        sender.changed.append(lambda why: opened.set() if why is None else None)
        await rig.come_back()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await opened.wait()

        assert await sender.send(second) == Delivered()
        assert {id for id, _ in await rig.arrived(2)} == {first.id, second.id}
        await sender.close()

    async def test_examining_it_finds_nothing_wrong_and_sends_nothing(self, rig: SinkRig) -> None:
        await rig.sink.examine()

        assert await rig.arrived(0) == []


class SourceTests:
    """What a source must do; subclasses give the fixture *rig*."""

    async def test_what_is_settled_does_not_come_again(self, rig: SourceRig) -> None:
        await rig.put(("1", b"a"), ("2", b"\x00\xff"), ("3", b"c"))
        line = await rig.source.open()
        came = await _take(line, rig.source, 3)
        await line.settle(came)
        await line.close()

        line = await rig.source.open()
        await rig.put(("4", b"d"))
        [last] = await _take(line, rig.source, 1)

        assert [(m.id, m.body) for m in came] == [("1", b"a"), ("2", b"\x00\xff"), ("3", b"c")]
        assert last.id == "4"
        await line.settle([last])
        await line.close()

    async def test_what_is_given_back_comes_again(self, rig: SourceRig) -> None:
        await rig.put(("1", b"a"), ("2", b"b"))
        line = await rig.source.open()
        came = await _take(line, rig.source, 2)
        await line.release(came)
        await line.close()

        line = await rig.source.open()
        again = await _take(line, rig.source, 2)

        assert {message.id for message in again} == {"1", "2"}
        await line.settle(again)
        await line.close()

    async def test_taking_may_be_cancelled(self, rig: SourceRig) -> None:
        line = await rig.source.open()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await line.take(rig.source.batch)
        await line.close()
        await rig.put(("1", b"a"))

        line = await rig.source.open()
        [came] = await _take(line, rig.source, 1)
        assert came.id == "1"
        await line.settle([came])
        await line.close()
        await line.close()

    async def test_a_broker_that_goes_away_is_unreachable_and_comes_back(
        self, rig: SourceRig
    ) -> None:
        line = await rig.source.open()
        await rig.go_away()
        try:
            with pytest.raises(Unreachable):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await line.take(rig.source.batch)
            with pytest.raises(Unreachable):
                await rig.source.open()
            await line.close()
        finally:
            await rig.come_back()

        await rig.put(("1", b"a"))
        line = await rig.source.open()
        came = await _take(line, rig.source, 1)
        await line.settle(came)
        assert [message.id for message in came] == ["1"]
        await line.close()


def _messages(rig: SinkRig, *numbers: int) -> list[Message]:
    return [Message(id=f"id-{n}", body=b"%d" % n, to=rig.to) for n in numbers]


async def _send(sink: Sink, line: SinkLine, messages: Sequence[Message]) -> list[Answer]:
    """Send all of *messages*, in calls as large as the sink allows, and return the answers."""
    answers: list[Answer] = []
    for n in range(0, len(messages), sink.batch):
        answers += await line.send(messages[n : n + sink.batch])
    return answers


async def _take(line: SourceLine, source: Source, number: int) -> list[Received]:
    found: list[Received] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < number:
            found += await line.take(source.batch)
    return found
