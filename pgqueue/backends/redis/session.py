"""A worker's subscribed connection: it is notified there, and it shows that the worker lives.

A session that sleeps on a topic subscribes to its channel and declares that in the store: `wake`
publishes only to declared sleepers. The subscription to a worker's own channel, ``!7``, shows that
it lives: the kernel closes a killed process's socket, the server then ends the subscription, and
PUBSUB NUMSUB shows that to everybody.
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

from pgqueue.backends.base import AsyncOperationRunner
from pgqueue.backends.forks import abandon, on_fork
from pgqueue.backends.plans import cancellable
from pgqueue.backends.redis.errors import translated
from pgqueue.backends.redis.script_plans import ScriptPlan, ask
from pgqueue.backends.redis.worker_connection import RedisWorkerConnection
from pgqueue.errors import PgqueueError, StoreUnavailable
from pgqueue.operations import Operation
from pgqueue.operations.topics import of_worker

T = TypeVar("T")

SLEEP_SECONDS = 60  # after so long without a declaration the store forgets a sleeper
SAY_AGAIN_SECONDS = 20.0
ANSWER_SECONDS = 5.0


class RedisSession:
    """Run scripts like any worker's connection, and be notified on a second one."""

    def __init__(
        self,
        connection: RedisWorkerConnection,
        channel: str,
        woken: Callable[[str], None],
        lost: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._wake = woken
        self._lost = lost
        self._name = uuid4().hex
        self._subscriber: Any = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._subscribed: dict[str, asyncio.Event] = {}
        self._pong = asyncio.Event()
        self._sleeps_on: frozenset[str] = frozenset()
        self._worker: int | None = None
        self._declaring = asyncio.Lock()

    async def open(self) -> None:
        """Connect and listen.

        The caller must wake every part of the worker: notifications sent meanwhile are lost.
        """
        await self.close()
        await self._connection.open()
        assert self._connection.client is not None
        with translated(), cancellable():
            self._subscriber = self._connection.client.connection_pool.make_connection()
            self._subscriber.socket_timeout = None  # hours may pass without a message
            await self._subscriber.connect()
        on_fork(self, lambda session: abandon(session._socket()))
        self._tasks = (asyncio.ensure_future(self._hear()), asyncio.ensure_future(self._repeat()))

    def _socket(self) -> int:
        return int(self._subscriber._writer.get_extra_info("socket").fileno())

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._sleeps_on and self._connection.client is not None:
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(1):
                    await self._say("session/unsubscribe", self._sleeps_on)
        self._sleeps_on, self._worker = frozenset(), None
        self._subscribed.clear()
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is not None:
            await subscriber.disconnect(nowait=True)
        await self._connection.close()

    async def execute(self, operation: Operation[T]) -> T:
        return await self._connection.execute(operation)

    def transaction(self) -> AbstractAsyncContextManager[AsyncOperationRunner]:
        return self._connection.transaction()

    async def present(self, worker: int) -> bool:
        """Hold *worker*'s presence while this session lives; False if another session holds it."""
        async with self._declaring:
            if self._worker == worker:
                return True
            if await self._count(worker) > 0:
                return False
            await self._subscribe({of_worker(worker)})
            if await self._count(worker) == 1:
                self._worker = worker
                return True
            await self._unsubscribe({of_worker(worker)})
            return False

    async def subscribe(self, topics: Collection[str]) -> bool:
        """Be woken by *topics* from now on, and by no others."""
        async with self._declaring:
            wanted = frozenset(topics)
            if new := wanted - self._sleeps_on:
                await self._subscribe(new)
                await self._say("session/subscribe", new)
            if old := self._sleeps_on - wanted:
                await self._say("session/unsubscribe", old)
                await self._unsubscribe(old)
            self._sleeps_on = wanted
            return True

    async def check(self) -> None:
        """Raise StoreUnavailable when this session hears nothing, or no longer shows that its
        worker lives."""
        self._pong.clear()
        await self._send("PING")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._pong.wait()
        except TimeoutError:
            raise StoreUnavailable("the subscribed connection to Redis hears nothing") from None
        if self._worker is not None and await self._count(self._worker) != 1:
            raise StoreUnavailable("the namespace has moved to another node than the subscription")

    async def _count(self, worker: int) -> int:
        [[(count,)]] = await self._run(ask("session/present", {"worker": worker}))
        return int(count)

    async def _say(self, verb: str, topics: Collection[str]) -> None:
        params = {"topics": list(topics), "session": self._name, "seconds": SLEEP_SECONDS}
        await self._run(ask(verb, params))

    async def _run(self, asked: ScriptPlan[T]) -> T:
        return await self._connection.carry_alone(asked)

    async def _subscribe(self, topics: Collection[str]) -> None:
        """Subscribe to *topics*, and return when the server has confirmed it."""
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
        if self._subscriber is None:
            raise StoreUnavailable("the connection to Redis is lost")
        with translated(), cancellable():
            await self._subscriber.send_command(*command, check_health=False)

    async def _hear(self) -> None:
        try:
            while True:
                kind, *rest = await self._subscriber.read_response(disable_decoding=True)
                if kind == b"pong":
                    self._pong.set()
                elif kind == b"message":
                    self._wake(rest[1].decode())
                elif kind == b"subscribe":
                    topic = rest[0].decode().removeprefix(self._channel)
                    if topic in self._subscribed:
                        self._subscribed[topic].set()
        except (redis.RedisError, OSError):
            self._lost()

    async def _repeat(self) -> None:
        """Declare again and again that the session sleeps: otherwise the store forgets it."""
        while True:
            await asyncio.sleep(SAY_AGAIN_SECONDS)
            async with self._declaring:
                if self._sleeps_on:
                    # An error does no harm: the next declaration comes before the store forgets the
                    # session.
                    with contextlib.suppress(PgqueueError, redis.RedisError):
                        await self._say("session/subscribe", self._sleeps_on)


class RedisSubscription:
    """Wait for topics on a blocking connection; once it is lost, each wait lasts its full time."""

    def __init__(
        self, connection: Any, run: Callable[[ScriptPlan[Any]], Any], channel: str
    ) -> None:
        self._connection = connection
        self._run = run
        self._channel = channel
        self._name = uuid4().hex
        self._topics: list[str] = []
        self._say_at = 0.0

    def listen(self, topics: Collection[str]) -> None:
        """Subscribe to *topics*, and then declare it in the store."""
        self._topics = list(topics)
        channels = [self._channel + topic for topic in self._topics]
        self._connection.send_command("SUBSCRIBE", *channels, check_health=False)
        for _ in channels:
            self._connection.read_response(disable_decoding=True)
        self._say("session/subscribe")

    def wait(self, seconds: float) -> None:
        """Return when a topic was notified, or after *seconds*."""
        until = time.monotonic() + seconds
        try:
            while (left := until - time.monotonic()) > 0:
                if time.monotonic() >= self._say_at:
                    self._say("session/subscribe")
                if self._connection.can_read(min(left, SAY_AGAIN_SECONDS)):
                    self._connection.read_response(disable_decoding=True)
                    return
        except (redis.RedisError, PgqueueError, OSError):
            time.sleep(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Declare that nobody waits here any more."""
        with contextlib.suppress(redis.RedisError, PgqueueError, OSError):
            self._say("session/unsubscribe")

    def _say(self, verb: str) -> None:
        params = {"topics": self._topics, "session": self._name, "seconds": SLEEP_SECONDS}
        self._run(ask(verb, params))
        self._say_at = time.monotonic() + SAY_AGAIN_SECONDS
