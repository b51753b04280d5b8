"""Redis and Valkey: the scripts of sql/redis, run through redis-py.

All keys of a namespace have its hash tag, so they are on one node of a cluster: once that node is
found, the cluster is used like a single server.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from functools import partial
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

import redis
import redis.asyncio

from pgqueue.backends import capabilities
from pgqueue.backends.base import AsyncOperationRunner, OperationRunner
from pgqueue.backends.loops import PerLoop
from pgqueue.backends.plans import cancellable, patiently, patiently_async
from pgqueue.backends.redis import address as redis_address
from pgqueue.backends.redis.errors import is_called, require_safe, translated
from pgqueue.backends.redis.namespace import Namespace
from pgqueue.backends.redis.script_plans import (
    SCRIPTS,
    ScriptPlan,
    packed,
    run_plan,
    run_plan_async,
    script_plan,
)
from pgqueue.backends.redis.session import RedisSession, RedisSubscription
from pgqueue.backends.redis.transaction import AsyncBufferedRunner, BufferedRunner, Transaction
from pgqueue.backends.redis.worker_connection import RedisWorkerConnection
from pgqueue.errors import StoreUnavailable, UnsupportedConnection
from pgqueue.operations import Operation
from pgqueue.statements.lua import Script

T = TypeVar("T")

_MOVES = 5


class RedisBackend:
    """Jobs in a namespace of a Redis, 6.2 or later, or a Valkey; of one server or a cluster."""

    store: ClassVar[str] = "redis"
    wakes_after: ClassVar[bool] = False
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"concurrency", "limits", "processes", "push", "sessions", "whereabouts"}
    )
    head: ClassVar[str] = "0001"

    def __init__(self, url: str, *, schema: str = "pgqueue", pool_size: int = 10) -> None:
        self.url = url
        self.schema = schema
        self.address = redis_address.read(url or "redis://")
        self.namespace = Namespace(schema, self.address.db)
        self._pool_size = pool_size
        self._client: redis.Redis | None = None
        self._async_clients = PerLoop(_disconnect, lambda client: None)
        self._pipelines: WeakKeyDictionary[Any, list[tuple[bytes, frozenset[int]]]] = (
            WeakKeyDictionary()
        )
        self._is_safe = False

    def execute(self, operation: Operation[T]) -> T:
        return patiently(lambda: self._carry(script_plan(operation)))

    async def execute_async(self, operation: Operation[T]) -> T:
        return await patiently_async(lambda: self._carry_async(script_plan(operation)))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[OperationRunner]:
        transaction = Transaction()
        yield BufferedRunner(transaction, self._carry)
        self._carry(transaction.commit())

    @contextlib.asynccontextmanager
    async def transaction_async(self) -> AsyncIterator[AsyncOperationRunner]:
        transaction = Transaction()
        yield AsyncBufferedRunner(transaction, self._carry_async)
        await self._carry_async(transaction.commit())

    @contextlib.contextmanager
    def on(self, connection: Any, *, single: bool = False) -> Iterator[OperationRunner]:
        """Return a runner whose operations *connection* carries out.

        A pipeline carries them out together with its other commands; on a client they are a
        transaction of their own.
        """
        pipelined = isinstance(connection, redis.client.Pipeline)
        client = redis.Redis(connection_pool=connection.connection_pool)
        namespace = self._namespace_of(connection)
        transaction = Transaction(self._queued_on(connection), pipelined=pipelined)

        def run(asked: ScriptPlan[T]) -> T:
            with translated(transient=False):
                return run_plan(asked, partial(namespace.call, client))

        if pipelined:
            _require_queueing(connection)
        yield BufferedRunner(transaction, run)
        if not pipelined:
            run(transaction.commit())
        elif transaction:
            connection.scripts.add(client.register_script(SCRIPTS["parts/commit"].text))
            connection.execute_command(*self._queued(namespace, transaction, connection))

    @contextlib.asynccontextmanager
    async def on_async(
        self, connection: Any, *, single: bool = False
    ) -> AsyncIterator[AsyncOperationRunner]:
        """As `on`, for asyncio's clients and pipelines."""
        pipelined = isinstance(connection, redis.asyncio.client.Pipeline)
        client = redis.asyncio.Redis(connection_pool=connection.connection_pool)
        namespace = self._namespace_of(connection)
        transaction = Transaction(self._queued_on(connection), pipelined=pipelined)

        async def run(asked: ScriptPlan[T]) -> T:
            with translated(transient=False):
                return await run_plan_async(asked, partial(namespace.call_async, client))

        if pipelined:
            _require_queueing(connection)
        yield AsyncBufferedRunner(transaction, run)
        if not pipelined:
            await run(transaction.commit())
        elif transaction:
            connection.scripts.add(client.register_script(SCRIPTS["parts/commit"].text))
            connection.execute_command(*self._queued(namespace, transaction, connection))

    @contextlib.contextmanager
    def connect(self) -> Iterator[redis.Redis]:
        with translated():
            client = self._open(size=1)
        try:
            yield client
        finally:
            client.connection_pool.disconnect()

    @contextlib.contextmanager
    def listen(self, topics: Collection[str]) -> Iterator[RedisSubscription]:
        with self.connect() as client, translated():
            connection = client.connection_pool.make_connection()
            connection.connect()
            try:
                subscription = RedisSubscription(
                    connection, partial(self._said, client), self.namespace.channel
                )
                subscription.listen(topics)
                yield subscription
                subscription.close()
            finally:
                connection.disconnect()

    def user_connection(self) -> contextlib.AbstractContextManager[Any]:
        capabilities.require(self, "transactions")
        raise AssertionError

    def user_connection_async(self) -> contextlib.AbstractAsyncContextManager[Any]:
        capabilities.require(self, "transactions")
        raise AssertionError

    def worker_connection(self, *, durable: bool = True) -> RedisWorkerConnection:
        """Return a worker's connection; durability is up to the server's `appendfsync`, not
        *durable*."""
        return RedisWorkerConnection(partial(self._open_async, size=2), self.namespace)

    def session(self, woken: Callable[[str], None], lost: Callable[[], None]) -> RedisSession:
        return RedisSession(self.worker_connection(), self.namespace.channel, woken, lost)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.connection_pool.disconnect()

    async def close_async(self) -> None:
        await self._async_clients.close()

    async def _open_async(self, size: int) -> redis.asyncio.Redis:
        """Return a client with connections of its own, to the node that has the namespace."""
        node = await redis_address.node_of_async(self.address, self.namespace.tag)
        pool = redis_address.asyncio_pool(self.address, node, size)
        client = redis.asyncio.Redis(connection_pool=pool)
        try:
            with cancellable():
                await client.ping()
                if not self._is_safe:
                    with contextlib.suppress(redis.exceptions.NoPermissionError):
                        require_safe(await client.info(), evictions=self.address.evictions)
                    self._is_safe = True
        except BaseException:
            await pool.disconnect()
            raise
        return client

    def _open(self, size: int) -> redis.Redis:
        node = redis_address.node_of(self.address, self.namespace.tag)
        pool = redis_address.blocking_pool(self.address, node, size)
        client = redis.Redis(connection_pool=pool)
        try:
            client.ping()
            if not self._is_safe:
                with contextlib.suppress(redis.exceptions.NoPermissionError):
                    require_safe(client.info(), evictions=self.address.evictions)
                self._is_safe = True
        except BaseException:
            pool.disconnect()
            raise
        return client

    def _carry(self, asked: ScriptPlan[T]) -> T:
        with translated():
            return run_plan(asked, self._call)

    async def _carry_async(self, asked: ScriptPlan[T]) -> T:
        with translated():
            return await run_plan_async(asked, self._call_async)

    def _call(self, script: Script, wanted: bytes) -> bytes:
        """Run *script* on the namespace's node; if the namespace has moved, find its new node
        first.

        A node that answers MOVED has done nothing.
        """
        for _ in range(_MOVES):
            if (client := self._client) is None:
                client = self._client = self._open(self._pool_size)
            try:
                return self.namespace.call(client, script, wanted)
            except redis.ResponseError as error:
                if not is_called(error, "MOVED"):
                    raise
                self.close()
            except (redis.ConnectionError, redis.TimeoutError):
                if self.address.cluster:  # another node may have become the primary
                    self.close()
                raise
        raise StoreUnavailable(
            f"the nodes of the Redis cluster do not agree which has {self.namespace.tag}"
        )

    async def _call_async(self, script: Script, wanted: bytes) -> bytes:
        for _ in range(_MOVES):
            if (client := self._async_clients.get()) is None:
                client = await self._open_async(self._pool_size)
                self._async_clients.put(client)
            try:
                return await self.namespace.call_async(client, script, wanted)
            except redis.ResponseError as error:
                if not is_called(error, "MOVED"):
                    raise
                await self.close_async()
            except (redis.ConnectionError, redis.TimeoutError):
                if self.address.cluster:
                    await self.close_async()
                raise
        raise StoreUnavailable(
            f"the nodes of the Redis cluster do not agree which has {self.namespace.tag}"
        )

    def _said(self, client: redis.Redis, asked: ScriptPlan[T]) -> T:
        return run_plan(asked, partial(self.namespace.call, client))

    def _queued(
        self, namespace: Namespace, transaction: Transaction, pipeline: Any
    ) -> tuple[Any, ...]:
        """Return the command that carries out *transaction* when *pipeline* is executed."""
        document = packed(transaction.document())
        self._pipelines.setdefault(pipeline, []).append((document, transaction.new))
        return namespace.command(SCRIPTS["parts/commit"], document, "quiet")

    def _queued_on(self, connection: Any) -> frozenset[int]:
        """Return the ids of jobs that *connection*, a pipeline, has queued: later jobs in it may
        wait for them."""
        waiting = [
            word for command in getattr(connection, "command_stack", ()) for word in command[0]
        ]
        documents = self._pipelines.get(connection, [])
        documents[:] = [kept for kept in documents if any(kept[0] is word for word in waiting)]
        return frozenset().union(*(ids for _, ids in documents))

    def _namespace_of(self, connection: Any) -> Namespace:
        db = connection.connection_pool.connection_kwargs.get("db")
        return Namespace(self.schema, int(db or 0))


def _require_queueing(pipeline: Any) -> None:
    if pipeline.watching and not pipeline.explicit_transaction:
        raise UnsupportedConnection(
            "this pipeline watches keys, and carries out at once what it is given: call "
            "pipeline.multi() before enqueue(pipeline, ...)"
        )


def open_backend(url: str, *, schema: str = "pgqueue", pool_size: int = 10) -> RedisBackend:
    """Return the backend at *url*; `pgqueue.backends.redis.address.read` says which URLs there
    are."""
    return RedisBackend(url, schema=schema, pool_size=pool_size)


async def _disconnect(client: redis.asyncio.Redis) -> None:
    await client.connection_pool.disconnect()
