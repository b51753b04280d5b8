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

WAIT_SECONDS = 30.0  # for a connection, while all are in use
AWAY_SECONDS = 5.0  # for a server that cannot be reached
FIRST_WAIT_SECONDS = 1.0  # then connect without the pool, to learn why it cannot
EXIT_SECONDS = 0.5  # for the pool's threads at the process's end; one that connects takes longer


class Pools:
    """Connections in autocommit, made when they are needed.

    A forked process makes its own: two processes on one socket would read each other's answers.
    """

    def __init__(
        self, address: Callable[[], str], size: int, statements: Mapping[str, Statement]
    ) -> None:
        self._address = address
        self._size = size
        self._statements = statements
        self._watch = StallWatch(address, statements)
        self._making = threading.Lock()
        # The process that made it, the pool, and the ids of its connections that are lent.
        self._pool: tuple[int, ConnectionPool[WatchedConnection], set[int]] | None = None
        self._of_loops = PerLoop(LoopPool.close, LoopPool.hang_up)

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """Lend a connection of this process's pool. Raises StoreUnavailable, which says why."""
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
        """Lend a connection of this event loop's pool. Raises StoreUnavailable, which says why."""
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
        """Close this process's pool; its threads have *timeout* seconds to end what they do."""
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


_made: WeakSet[Pools] = WeakSet()  # all pools of this process
os.register_at_fork(after_in_child=_made.clear)


@atexit.register
def _close_all() -> None:
    """Close the pools that nobody has closed: a pool that is only dropped at the end waits for its
    threads.

    From Python 3.13 on it would wait five seconds for each of them, although they no longer run
    then.
    """
    for pools in list(_made):
        pools.close(EXIT_SECONDS)


class LoopPool(NamedTuple):
    """An event loop's pool, the ids of its connections that are lent, and all of its
    connections."""

    pool: AsyncConnectionPool[WatchedAsyncConnection]
    lent: set[int]
    connections: WeakSet[WatchedAsyncConnection]

    async def close(self) -> None:
        try:
            await self.pool.close()
        except asyncio.CancelledError:  # the pool's own tasks were cancelled with the loop
            self.hang_up()

    def hang_up(self) -> None:
        """Close all connections; needs no event loop."""
        for connection in self.connections:
            connection.pgconn.finish()


class Wait:
    """How long to wait for one of a pool's connections, of which some are *lent*.

    While all are in use, the caller waits in line. When the pool has none because it cannot
    connect, the caller connects itself, which raises the reason; it tries for a little longer, as
    the server may be starting.
    """

    def __init__(self, lent: set[int], size: int) -> None:
        self._lent = lent
        self._size = size
        self._began = monotonic()

    @property
    def _spent(self) -> float:
        return monotonic() - self._began

    def seconds(self) -> float:
        """Return how long to wait before asking again why no connection has come."""
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
        """Note that connecting has failed. Raises that error when the time is up; there is more
        time while some connections are lent, as they may come back."""
        if self._spent >= min(WAIT_SECONDS, WAIT_SECONDS if self._lent else AWAY_SECONDS):
            raise


def _ask_again(error: BaseException) -> None:
    """Raise StoreBusy if *error* is pgqueue's own: nothing was written."""
    if isinstance(error, StoreUnavailable):
        raise StoreBusy(
            "the server takes no writes any more, as a standby; its connections are closed"
        ) from error


def _check(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    """Raise when the server has closed an idle connection: then there is something to read. No
    round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    while poll.poll(0):  # the server's last messages come before the end
        connection.pgconn.consume_input()
        if connection.pgconn.status == ConnStatus.BAD or connection.closed:
            raise psycopg.OperationalError("the server closed the connection while it was idle")


async def _check_async(connection: AsyncConnection[Any]) -> None:
    _check(connection)
