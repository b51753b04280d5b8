"""The Sender: hands an outlet's messages to its broker, and shuts the gate while that is away.

It sends all that waits as soon as the call before has returned: who is busy sends batches, who is
idle waits for nothing. There are no timers.

The *gate*: when the broker cannot be reached, messages in hand are given back, as of unknown fate,
and new ones are refused at once. A probe tries to open a line, with growing, jittered gaps of up to
thirty seconds; the first that succeeds opens the gate. Then one message is sent alone, and the
others when it has been answered. So an outage costs no attempts and no writes, however long it is
and however much waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

from msgspec import structs

from pgqueue.bridges import probing
from pgqueue.bridges.base import (
    Again,
    Answer,
    Delivered,
    Message,
    Never,
    Returned,
    Sink,
    SinkLine,
    Unknown,
    Unreachable,
)
from pgqueue.jobs.tally import Outgoing

_KINDS: Final[dict[type, str]] = {
    Delivered: "confirmed",
    Returned: "returned",
    Again: "refused",
    Never: "refused",
    Unknown: "unknown",
}


class _Waiting:
    __slots__ = ("answer", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()


class Sender:
    """Sends messages to *sink*, in one event loop.

    *changed* are called with None when the gate opens, and with the reason when it shuts. While it
    is shut, *next_look_at* is when the broker is tried again.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._line: SinkLine | None = None
        self._opening = asyncio.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._flying: set[str] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._ready = False
        self._probe: asyncio.Task[None] | None = None
        self._closed = False
        self._failing_since: float | None = None
        self._counts = Outgoing()
        self.shut_since: float | None = None
        self.why: str | None = None
        self.next_look_at: datetime | None = None
        self.changed: list[Callable[[str | None], None]] = []

    async def send(self, message: Message) -> Answer:
        """Return what the broker says of *message*; raises Unreachable, at once if the gate is
        shut."""
        if self.shut_since is not None or self._closed:
            raise Unreachable(self.why or "closed")
        waiting = _Waiting(message)
        self._waiting.append(waiting)
        if not self._ready:  # all that is given in this turn of the event loop goes together
            self._ready = True
            asyncio.get_running_loop().call_soon(self._pump)
        return await waiting.answer

    async def close(self) -> None:
        """Give the connection back; what is in hand is of unknown fate."""
        self._closed = True
        tasks = [*self._calls, *([self._probe] if self._probe else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._give_back(self._waiting, "closed")
        await self._drop_line()

    def figures(self) -> Outgoing:
        """What it has sent; any thread may ask."""
        return structs.replace(self._counts, flying=len(self._flying))

    def _pump(self) -> None:
        self._ready = False
        most, calls = self._sink.batch, self._sink.parallel
        if self._failing_since is not None:
            # It has answered nothing since it was away, and may be able to take connections and no
            # more, such as a RabbitMQ in a memory alarm, which delivers all of it when that ends.
            most = calls = 1
        while self._waiting and len(self._calls) < calls and not self.shut_since:
            batch = self._take(most)
            if not batch:
                return
            call = asyncio.ensure_future(self._call(batch))
            self._calls.add(call)
            call.add_done_callback(self._returned)

    def _take(self, most: int) -> list[_Waiting]:
        """The next batch; an id that is in flight waits until its fate is known."""
        batch: list[_Waiting] = []
        later: list[_Waiting] = []
        while self._waiting and len(batch) < most:
            waiting = self._waiting.popleft()
            if waiting.answer.done():
                continue
            if waiting.message.id in self._flying:
                later.append(waiting)
            else:
                self._flying.add(waiting.message.id)
                batch.append(waiting)
        self._waiting.extendleft(reversed(later))
        return batch

    def _returned(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not self._closed:
            self._pump()

    async def _call(self, batch: Sequence[_Waiting]) -> None:
        line: SinkLine | None = None
        try:
            try:
                line = await self._opened()
                began = monotonic()
                self._counts.sent += len(batch)
                answers = await line.send([waiting.message for waiting in batch])
                self._counts.answered.add(monotonic() - began, len(batch))
            except Unreachable as error:
                if line is not None:
                    self._counts.count("unknown", len(batch))
                self._lost(line, str(error))
                self._give_back(batch, str(error))
                return
            unknown = None
            for waiting, answer in zip(batch, answers, strict=True):
                self._counts.count(_KINDS.get(type(answer), "refused"))
                if isinstance(answer, Unknown):
                    unknown = answer.why
                    self._give_back([waiting], answer.why)
                elif not waiting.answer.done():
                    waiting.answer.set_result(answer)
            if unknown is not None:
                self._lost(line, unknown)
            else:
                self._failing_since = None
        except Exception as error:  # of the adapter
            await self._drop_line()
            if len(batch) == 1 and not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            for waiting in batch:  # alone, so that one message does not fail the others
                if not waiting.answer.done():
                    await self._call([waiting])
        finally:
            self._give_back(batch, "closed")
            self._flying.difference_update(waiting.message.id for waiting in batch)

    async def _opened(self) -> SinkLine:
        async with self._opening:
            if self._line is None:
                self._line = await self._sink.open()
            return self._line

    def _lost(self, line: SinkLine | None, why: str) -> None:
        """*line* has ended, or none could be opened. Of several calls on it the last may hear of it
        when a new one is open, which lives."""
        if line is self._line:
            self._shut(why)

    def _give_back(self, batch: Iterable[_Waiting], why: str) -> None:
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(Unreachable(why))

    def _shut(self, why: str) -> None:
        """The broker is away: shuts the gate, and begins to look for it."""
        if self.shut_since is not None or self._closed:
            return
        self.shut_since, self.why = monotonic(), why
        # A broker that takes connections and nothing more is away all the while.
        if self._failing_since is None:
            self._failing_since = self.shut_since
        waiting, self._waiting = self._waiting, deque()
        self._give_back(waiting, why)
        for tell in self.changed:
            tell(why)
        self._probe = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        await self._drop_line()
        assert self._failing_since is not None
        while True:
            gap = probing.gap(monotonic() - self._failing_since)
            self.next_look_at = datetime.now(UTC) + timedelta(seconds=gap)
            await asyncio.sleep(gap)
            try:
                self._line = await self._sink.open()
            except Exception as error:
                self.why = str(error) if isinstance(error, Unreachable) else repr(error)
                continue
            self.shut_since = self.why = self._probe = self.next_look_at = None
            for tell in self.changed:
                tell(None)
            return

    async def _drop_line(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with suppress(Exception):
                await line.close()
