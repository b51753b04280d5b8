"""An application's connections: a pool for the threads of a process, one for each event loop."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection, Connection, IsolationLevel
from psycopg.pq import ConnStatus
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from pgqueue.backends.postgres.errors import translated
from pgqueue.backends.postgres.pooler import is_direct, is_direct_async
from pgqueue.backends.postgres.watch import Watch, WatchedAsyncConnection, WatchedConnection
from pgqueue.errors import StoreUnavailable
from pgqueue.statements import Statement

KEEPALIVES: Mapping[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # keepalives are silent while an answer is due
    "connect_timeout": 10,
}
# Of several hosts only the one that takes writes: a standby would refuse each statement.
WRITABLE: Mapping[str, Any] = {"target_session_attrs": "read-write", **KEEPALIVES}
WAIT_SECONDS = 30.0  # for a connection


class Pools:
    """Connections in autocommit, made when they are needed.

    A process that was forked makes its own: two on one socket would read each other's answers.
    """

    def __init__(self, url: str, size: int, statements: Mapping[str, Statement]) -> None:
        self._url = url
        self._size = size
        self._statements = statements
        self._watch = Watch(url, statements)
        self._making = threading.Lock()
        self._pool: tuple[int, ConnectionPool[WatchedConnection]] | None = (
            None  # and the process that made it
        )
        self._async_pools: WeakKeyDictionary[Any, AsyncConnectionPool[WatchedAsyncConnection]]
        self._async_pools = WeakKeyDictionary()

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """A connection of this process's pool. Raises StoreUnavailable, and says why."""
        try:
            with self._of_this_process().connection() as connection, self._watch.over(connection):
                yield connection
        except PoolTimeout as error:
            with translated():  # the reason why one cannot connect
                Connection.connect(self._url, **WRITABLE).close()
            raise self._all_in_use() from error

    @asynccontextmanager
    async def connection_async(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection of this event loop's pool. Raises StoreUnavailable, and says why."""
        loop = asyncio.get_running_loop()
        pool = self._async_pools.get(loop)
        if pool is None:
            pool = self._async_pools[loop] = AsyncConnectionPool(
                self._url,
                connection_class=WatchedAsyncConnection,
                configure=self._configure_async,
                check=_check_async,
                open=False,
                **self._how(),
            )
            await pool.open()
        try:
            async with pool.connection() as connection:
                with self._watch.over(connection):
                    yield connection
        except PoolTimeout as error:
            with translated():
                await (await AsyncConnection.connect(self._url, **WRITABLE)).close()
            raise self._all_in_use() from error

    def close(self) -> None:
        """Close this process's pool."""
        self._watch.close()
        with self._making:
            if self._pool is not None and self._pool[0] == os.getpid():
                self._pool[1].close()
            self._pool = None

    async def close_async(self) -> None:
        """Close this event loop's pool."""
        pool = self._async_pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()

    def _of_this_process(self) -> ConnectionPool[WatchedConnection]:
        process = os.getpid()
        if self._pool is None or self._pool[0] != process:
            with self._making:
                if self._pool is None or self._pool[0] != process:
                    pool = ConnectionPool(
                        self._url,
                        connection_class=WatchedConnection,
                        configure=self._configure,
                        check=_check,
                        open=True,
                        **self._how(),
                    )
                    self._pool = (process, pool)
        return self._pool[1]

    def _how(self) -> dict[str, Any]:
        return {
            "kwargs": {"autocommit": True, **WRITABLE},
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

    def _all_in_use(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"all {self._size} connections to PostgreSQL are in use, and none came back in "
            f"{WAIT_SECONDS:g} s; App(pool_size=...) says how many there may be"
        )


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
