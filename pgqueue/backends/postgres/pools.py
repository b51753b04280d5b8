"""An application's connections: a pool for the threads of a process, one for each event loop."""

from __future__ import annotations

import asyncio
import atexit
import os
import select
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any, NamedTuple
from weakref import WeakSet

import psycopg
from psycopg import AsyncConnection, Connection, IsolationLevel
from psycopg.pq import ConnStatus
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from pgqueue.addresses import settings
from pgqueue.backends.loops import PerLoop
from pgqueue.backends.postgres.errors import is_read_only, translated
from pgqueue.backends.postgres.pooler import is_direct, is_direct_async
from pgqueue.backends.postgres.stall_watch import (
    StallWatch,
    WatchedAsyncConnection,
    WatchedConnection,
)
from pgqueue.errors import StoreBusy, StoreUnavailable
from pgqueue.statements.sql import Statement

WAIT_SECONDS = 30.0  # for one of those that are in use
AWAY_SECONDS = 5.0  # for a server that cannot be reached
FIRST_WAIT_SECONDS = 1.0  # then we connect ourselves, to learn why the pool cannot
EXIT_SECONDS = 0.5  # for a pool's threads at the process's end; one that connects takes longer


class Pools:
    """Connections in autocommit, made when they are needed.

    A process that was forked makes its own: two on one socket would read each other's answers.
    """

    def __init__(
        self, address: Callable[[], str], size: int, statements: Mapping[str, Statement]
    ) -> None:
        self._address = address
        self._size = size
        self._statements = statements
        self._watch = StallWatch(address, statements)
        self._making = threading.Lock()
        # With the ids of those that are lent; and the process that made it.
        self._pool: tuple[int, ConnectionPool[WatchedConnection], set[int]] | None = None
        self._of_loops = PerLoop(LoopPool.close, LoopPool.hang_up)

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """A connection of this process's pool. Raises StoreUnavailable, and says why."""
        pool, lent = self._of_this_process()
        connection = self._take(pool, lent)
        lent.add(id(connection))
        try:
            with connection, self._watch.over(connection):
                yield connection
        except BaseException as error:
            if is_read_only(error):
                connection.close()
                pool.drain()
                _ask_again(error)
            raise
        finally:
            lent.discard(id(connection))
            pool.putconn(connection)

    def _take(self, pool: ConnectionPool[WatchedConnection], lent: set[int]) -> WatchedConnection:
        wait = Wait(lent, self._size)
        while True:
            try:
                return pool.getconn(wait.seconds())
            except PoolTimeout:
                if wait.is_for_others():
                    continue
                try:
                    with translated():  # the reason why one cannot connect
                        url = self._address()
                        Connection.connect(url, **settings(url)).close()
                except StoreUnavailable:
                    wait.fails()

    @asynccontextmanager
    async def connection_async(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection of this event loop's pool. Raises StoreUnavailable, and says why."""
        of_loop = await self._of_this_loop()
        pool, lent = of_loop.pool, of_loop.lent
        connection = await self._take_async(pool, lent)
        lent.add(id(connection))
        try:
            async with connection:
                with self._watch.over(connection):
                    yield connection
        except BaseException as error:
            if is_read_only(error):
                await connection.close()
                await pool.drain()
                _ask_again(error)
            raise
        finally:
            lent.discard(id(connection))
            await pool.putconn(connection)

    async def _take_async(
        self, pool: AsyncConnectionPool[WatchedAsyncConnection], lent: set[int]
    ) -> WatchedAsyncConnection:
        wait = Wait(lent, self._size)
        while True:
            try:
                return await pool.getconn(wait.seconds())
            except PoolTimeout:
                if wait.is_for_others():
                    continue
                try:
                    with translated():
                        url = self._address()
                        made = await AsyncConnection.connect(url, **settings(url))
                        await made.close()
                except StoreUnavailable:
                    wait.fails()

    def close(self, timeout: float = AWAY_SECONDS) -> None:
        """Close this process's pool, whose threads have so long to end what they do."""
        self._watch.close()
        with self._making:
            if self._pool is not None and self._pool[0] == os.getpid():
                self._pool[1].close(timeout)
            self._pool = None

    async def close_async(self) -> None:
        """Close this event loop's pool."""
        await self._of_loops.close()

    async def _of_this_loop(self) -> LoopPool:
        made = self._of_loops.get()
        if made is None:
            connections: WeakSet[WatchedAsyncConnection] = WeakSet()

            async def configure(connection: WatchedAsyncConnection) -> None:
                connections.add(connection)
                await self._configure_async(connection)

            pool = AsyncConnectionPool(
                self._address,
                connection_class=WatchedAsyncConnection,
                configure=configure,
                check=_check_async,
                open=False,
                **self._how(),
            )
            made = self._of_loops.put(LoopPool(pool, set(), connections))
            await pool.open()
        return made

    def _of_this_process(self) -> tuple[ConnectionPool[WatchedConnection], set[int]]:
        process = os.getpid()
        if self._pool is None or self._pool[0] != process:
            with self._making:
                if self._pool is None or self._pool[0] != process:
                    pool = ConnectionPool(
                        self._address,
                        connection_class=WatchedConnection,
                        configure=self._configure,
                        check=_check,
                        open=True,
                        **self._how(),
                    )
                    self._pool = (process, pool, set())
                    _made.add(self)
        return self._pool[1:]

    def _how(self) -> dict[str, Any]:
        return {
            "kwargs": {"autocommit": True, **settings(self._address())},
            "min_size": 0,
            "max_size": self._size,
            "timeout": WAIT_SECONDS,
            "name": "pgqueue",
        }

    def _configure(self, connection: Connection[Any]) -> None:
        connection.isolation_level = IsolationLevel.READ_COMMITTED
        is_direct(connection, self._statements)

    async def _configure_async(self, connection: AsyncConnection[Any]) -> None:
        await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
        await is_direct_async(connection, self._statements)


_made: WeakSet[Pools] = WeakSet()  # in this process
os.register_at_fork(after_in_child=_made.clear)


@atexit.register
def _close_all() -> None:
    """Close what nobody has closed: a pool that is only dropped at the end waits for its threads.

    From Python 3.13 on it would wait five seconds for each of them, which no longer run then.
    """
    for pools in list(_made):
        pools.close(EXIT_SECONDS)


class LoopPool(NamedTuple):
    """An event loop's pool, the ids of those of its connections that are lent, and all of them."""

    pool: AsyncConnectionPool[WatchedAsyncConnection]
    lent: set[int]
    connections: WeakSet[WatchedAsyncConnection]

    async def close(self) -> None:
        try:
            await self.pool.close()
        except asyncio.CancelledError:  # of the pool's own tasks, which end with the loop
            self.hang_up()

    def hang_up(self) -> None:
        """Close all connections, without a loop."""
        for connection in self.connections:
            connection.pgconn.finish()


class Wait:
    """How long to wait for one of a pool's connections, of which some are *lent*.

    While all are in use, the caller waits in line. When the pool has none because it cannot
    connect, the caller connects itself, which raises the reason; and tries a little longer, as the
    server may be starting.
    """

    def __init__(self, lent: set[int], size: int) -> None:
        self._lent = lent
        self._size = size
        self._began = monotonic()

    @property
    def _spent(self) -> float:
        return monotonic() - self._began

    def seconds(self) -> float:
        """How long to wait before looking again at why none has come."""
        left = max(0.01, WAIT_SECONDS - self._spent)
        return left if len(self._lent) >= self._size else min(FIRST_WAIT_SECONDS, left)

    def is_for_others(self) -> bool:
        """Are all of them in use? Raises StoreUnavailable when none came back in time."""
        if self._spent >= WAIT_SECONDS:
            if len(self._lent) >= self._size:
                raise StoreUnavailable(
                    f"all {self._size} connections to PostgreSQL are in use, and none came back in "
                    f"{WAIT_SECONDS:g} s; App(pool_size=...) says how many there may be"
                )
            return False
        return len(self._lent) >= self._size

    def fails(self) -> None:
        """Called when connecting has failed. Raises that error, unless there is time left: there is
        more while some connections are lent, since they may come back."""
        if self._spent >= min(WAIT_SECONDS, WAIT_SECONDS if self._lent else AWAY_SECONDS):
            raise


def _ask_again(error: BaseException) -> None:
    """Raises StoreBusy where *error* is pgqueue's own: nothing was written."""
    if isinstance(error, StoreUnavailable):
        raise StoreBusy(
            "the server takes no writes any more; its connections are thrown away"
        ) from error


def _check(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    """Raises when the server has closed an idle connection: then there is something to read. No
    round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    while poll.poll(0):  # its last words come before its end
        connection.pgconn.consume_input()
        if connection.pgconn.status == ConnStatus.BAD or connection.closed:
            raise psycopg.OperationalError("the server closed the connection while it was idle")


async def _check_async(connection: AsyncConnection[Any]) -> None:
    _check(connection)
