"""A worker's ear and its life: a connection that is subscribed.

Whoever sleeps on a topic is subscribed to its channel, and says so in the store, so that nobody
publishes for nothing. A worker's own channel, ``!7``, is also its life: the kernel closes a killed
process's socket, the server then ends the subscription, and everybody can see that.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar
from uuid import uuid4

import redis

from pgqueue.backends.base import AsyncExecutor, cancellable
from pgqueue.backends.redis.errors import translated
from pgqueue.backends.redis.exchange import Exchange, ask
from pgqueue.backends.redis.lane import RedisLane
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation

T = TypeVar("T")

SLEEP_SECONDS = 60  # who has not said for so long that it sleeps is dead
SAY_AGAIN_SECONDS = 20.0
ANSWER_SECONDS = 5.0


class RedisSession:
    """Runs scripts like any lane, and hears what is published on a second connection."""

    def __init__(
        self,
        lane: RedisLane,
        channel: str,
        woken: Callable[[str], None],
        lost: Callable[[], None],
    ) -> None:
        self._lane = lane
        self._channel = channel
        self._woken = woken
        self._lost = lost
        self._name = uuid4().hex
        self._ear: Any = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._subscribed: dict[str, asyncio.Event] = {}
        self._pong = asyncio.Event()
        self._asleep: frozenset[str] = frozenset()
        self._worker: int | None = None
        self._declaring = asyncio.Lock()

    async def open(self) -> None:
        """Connects and listens. Whoever calls this wakes everything: what was said meanwhile is
        gone."""
        await self.close()
        await self._lane.open()
        assert self._lane.client is not None
        with translated(), cancellable():
            self._ear = self._lane.client.connection_pool.make_connection()
            self._ear.socket_timeout = None  # silence is no fault
            await self._ear.connect()
        self._tasks = (asyncio.ensure_future(self._hear()), asyncio.ensure_future(self._repeat()))

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._asleep and self._lane.client is not None:
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(1):
                    await self._say("rise", self._asleep)
        self._asleep, self._worker = frozenset(), None
        self._subscribed.clear()
        ear, self._ear = self._ear, None
        if ear is not None:
            await ear.disconnect(nowait=True)
        await self._lane.close()

    async def execute(self, operation: Operation[T]) -> T:
        return await self._lane.execute(operation)

    def transaction(self) -> AbstractAsyncContextManager[AsyncExecutor]:
        return self._lane.transaction()

    async def present(self, worker: int) -> bool:
        """Is *worker* while this session lives. False when another session is."""
        async with self._declaring:
            if self._worker == worker:
                return True
            if await self._count(worker) > 0:
                return False
            await self._subscribe({f"!{worker}"})
            if await self._count(worker) == 1:
                self._worker = worker
                return True
            await self._unsubscribe({f"!{worker}"})
            return False

    async def sleep(self, topics: Collection[str]) -> bool:
        """From now on *topics* wake us, and no others."""
        async with self._declaring:
            wanted = frozenset(topics)
            if new := wanted - self._asleep:
                await self._subscribe(new)
                await self._say("sleep", new)
            if old := self._asleep - wanted:
                await self._say("rise", old)
                await self._unsubscribe(old)
            self._asleep = wanted
            return True

    async def check(self) -> None:
        """Raises StoreUnavailable when this session hears nothing, or is not its worker's life."""
        self._pong.clear()
        await self._send("PING")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._pong.wait()
        except TimeoutError:
            raise StoreUnavailable("the subscribed connection to Redis hears nothing") from None
        if self._worker is not None and await self._count(self._worker) != 1:
            raise StoreUnavailable("the subscription is not where the namespace is")

    async def _count(self, worker: int) -> int:
        [[(count,)]] = await self._run(ask("present", {"worker": worker}))
        return int(count)

    async def _say(self, verb: str, topics: Collection[str]) -> None:
        said = {"topics": list(topics), "session": self._name, "seconds": SLEEP_SECONDS}
        await self._run(ask(verb, said))

    async def _run(self, asked: Exchange[T]) -> T:
        return await self._lane.carry_alone(asked)

    async def _subscribe(self, topics: Collection[str]) -> None:
        """Returns when the server has confirmed it."""
        for topic in topics:
            self._subscribed[topic] = asyncio.Event()
        await self._send("SUBSCRIBE", *(self._channel + topic for topic in topics))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                for topic in topics:
                    await self._subscribed[topic].wait()
        except TimeoutError:
            raise StoreUnavailable("Redis does not confirm a subscription") from None

    async def _unsubscribe(self, topics: Collection[str]) -> None:
        for topic in topics:
            self._subscribed.pop(topic, None)
        await self._send("UNSUBSCRIBE", *(self._channel + topic for topic in topics))

    async def _send(self, *command: str) -> None:
        if self._ear is None:
            raise StoreUnavailable("the connection to Redis is lost")
        with translated(), cancellable():
            await self._ear.send_command(*command, check_health=False)

    async def _hear(self) -> None:
        try:
            while True:
                kind, *rest = await self._ear.read_response(disable_decoding=True)
                if kind == b"pong":
                    self._pong.set()
                elif kind == b"message":
                    self._woken(rest[1].decode())
                elif kind == b"subscribe":
                    topic = rest[0].decode().removeprefix(self._channel)
                    if topic in self._subscribed:
                        self._subscribed[topic].set()
        except (redis.RedisError, OSError):
            self._lost()

    async def _repeat(self) -> None:
        """Says again and again that we sleep: who died would be notified for ever."""
        while True:
            await asyncio.sleep(SAY_AGAIN_SECONDS)
            async with self._declaring:
                if self._asleep:
                    with contextlib.suppress(StoreUnavailable):
                        await self._say("sleep", self._asleep)


class RedisEar:
    """Hears on a blocking connection; once that is lost, it only waits."""

    def __init__(self, connection: Any, run: Callable[[Exchange[Any]], Any], channel: str) -> None:
        self._connection = connection
        self._run = run
        self._channel = channel
        self._name = uuid4().hex
        self._topics: list[str] = []
        self._say_at = 0.0

    def listen(self, topics: Collection[str]) -> None:
        """Subscribes to *topics*, and then says so."""
        self._topics = list(topics)
        channels = [self._channel + topic for topic in self._topics]
        self._connection.send_command("SUBSCRIBE", *channels, check_health=False)
        for _ in channels:
            self._connection.read_response(disable_decoding=True)
        self._say("sleep")

    def wait(self, seconds: float) -> None:
        """Returns when a topic was notified, or after *seconds*."""
        until = time.monotonic() + seconds
        try:
            while (left := until - time.monotonic()) > 0:
                if time.monotonic() >= self._say_at:
                    self._say("sleep")
                if self._connection.can_read(min(left, SAY_AGAIN_SECONDS)):
                    self._connection.read_response(disable_decoding=True)
                    return
        except (redis.RedisError, OSError):
            time.sleep(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Nobody needs to notify us any more."""
        with contextlib.suppress(redis.RedisError, OSError):
            self._say("rise")

    def _say(self, verb: str) -> None:
        said = {"topics": self._topics, "session": self._name, "seconds": SLEEP_SECONDS}
        self._run(ask(verb, said))
        self._say_at = time.monotonic() + SAY_AGAIN_SECONDS
