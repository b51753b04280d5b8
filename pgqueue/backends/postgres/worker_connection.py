"""A worker's connection, with the plans of our statements pinned."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import tuple_row

from pgqueue.addresses import settings as connecting
from pgqueue.backends.base import AsyncOperationRunner
from pgqueue.backends.forks import abandon, on_fork
from pgqueue.backends.postgres.answer_deadline import AnswerDeadline, LastHangUp
from pgqueue.backends.postgres.errors import translated
from pgqueue.backends.postgres.pooler import is_direct_async
from pgqueue.backends.postgres.prepared import PreparedRunner
from pgqueue.backends.postgres.running import AsyncioRunner
from pgqueue.backends.postgres.socket_waiter import SocketWaiter
from pgqueue.backends.postgres.stall_watch import hang_up
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation
from pgqueue.statements.sql import Statement

T = TypeVar("T")
U = TypeVar("U")

# Each of our statements has one right plan: from the index, in its order. After a bulk load, until
# ANALYZE has seen it, the planner would rather scan and sort the whole backlog.
SESSION_SETTINGS = (
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;"
    "SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; SET jit = off;"
    "SET lock_timeout = '250ms'; SET idle_in_transaction_session_timeout = '60s';"
    "SET default_transaction_isolation = 'read committed';"
    # Not the role's statement_timeout: clean-up may take long, and would only begin again after it.
    # An answer that never comes is noticed by AnswerDeadline.
    "SET extra_float_digits = 1; SET statement_timeout = 0;"
    # Functions and operators are the server's own, whatever an application has put before them in
    # its search_path. The rest of the path stays, for triggers that somebody has added.
    "SELECT set_config('search_path', concat_ws(', ', 'pg_catalog',"
    " nullif(current_setting('search_path'), '')), false);"
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout';"
)
ASYNCHRONOUS = "SET synchronous_commit = off;"
# A worker's session waits for work, so it may be idle. Only for a session of our own: a pooler
# gives us single transactions, for which this setting does nothing.
MAY_BE_IDLE = "SET idle_session_timeout = 0;"


class PostgresWorkerConnection:
    """A worker's own connection, in autocommit, with the plans of our statements pinned.

    *lost* is called when it breaks while it is idle. When it is opened again, it also ends its
    earlier session at the server: a claim might still be running there, whose answer nobody would
    receive.
    """

    def __init__(
        self,
        address: Callable[[], str],
        statements: Mapping[str, Statement],
        durable: bool,
        silence: LastHangUp,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._address = address
        self._statements = statements
        self._durable = durable
        self._lock = asyncio.Lock()  # a pipeline is the connection's, not the coroutine's
        self._patience = AnswerDeadline(silence)
        self._lost = lost
        self._wire: SocketWaiter | None = None
        self._prepared: PreparedRunner | None = None
        self._pid: int | None = None  # the server's process, and when that session began
        self._begun: str | None = None
        self.connection: AsyncConnection[Any] | None = None
        self.direct = True

    async def open(self) -> None:
        """Connect anew. Raises StoreUnavailable."""
        await self.close()
        with translated():
            url = self._address()
            connection = await AsyncConnection.connect(url, autocommit=True, **connecting(url))
            on_fork(connection, lambda connection: abandon(connection.fileno()))
            try:
                await self._prepare(connection)
            except BaseException:  # cancelled, too: nobody else would close it
                await connection.close()
                raise
        self._patience.heard()
        self._wire = wire = SocketWaiter(connection, self._lost)
        prepared = PreparedRunner(connection, wire, self._statements)
        self._prepared = prepared if self.direct else None
        self.connection = connection

    async def _prepare(self, connection: AsyncConnection[Any]) -> None:
        """Set up the session, if it is our own."""
        self.direct = await is_direct_async(connection, self._statements)
        if self.direct:
            connection.prepare_threshold = 0
            settings = SESSION_SETTINGS + MAY_BE_IDLE
            if not self._durable:
                settings += ASYNCHRONOUS
            await connection.execute(settings.encode(), prepare=False)
            await self._replace(connection)

    async def _replace(self, connection: AsyncConnection[Any]) -> None:
        """End our earlier session, if the server still has it and our role may end it."""
        [step] = self._statements["session/replace"].steps
        earlier = {"pid": self._pid, "begun": self._begun}
        cursor = AsyncRawCursor(connection, row_factory=tuple_row)
        try:
            await cursor.execute(step.text, step.bind(earlier), prepare=False)
        except InsufficientPrivilege:
            return
        [(pid, begun, ended)] = await cursor.fetchall()
        if ended is False:
            await connection.close()
            raise StoreUnavailable(f"the server's process {self._pid} still works for us")
        self._pid, self._begun = pid, begun

    async def close(self) -> None:
        """Close the connection; a coroutine that still waits for an answer gets an error first.

        If only the descriptor were closed, the coroutine would wait for ever, and libuv, which
        watches the descriptor, would abort the process.
        """
        connection, self.connection = self.connection, None
        if connection is not None:
            if self._lock.locked():
                hang_up(connection)
            async with self._lock:
                if self._wire is not None:
                    self._wire.close()
                await connection.close()

    async def execute(self, operation: Operation[T]) -> T:
        async with self._lock:
            connection = self._connected()
            with translated(), self._patience.answers(connection, operation.name):
                if self._prepared is not None:
                    return await self._prepared.execute(operation)
                executor = AsyncioRunner(connection, self._statements, self._settings())
                return await executor.execute(operation)

    @property
    def pairs(self) -> bool:
        return self._prepared is not None

    async def execute_both(self, first: Operation[T], second: Operation[U]) -> tuple[T, U]:
        async with self._lock:
            connection = self._connected()
            if self._prepared is None:
                raise StoreUnavailable("a pooler has taken the place of the server")
            with translated(), self._patience.answers(connection, first.name):
                return await self._prepared.execute_both(first, second)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncOperationRunner]:
        async with self._lock:
            connection = self._connected()
            with translated():
                async with connection.transaction():
                    executor = AsyncioRunner(connection, self._statements)
                    if (settings := self._settings()) is not None:
                        await executor.execute(settings)
                    yield executor

    def _settings(self) -> Operation[None] | None:
        """Return what each transaction must begin with where the session is not ours; None where it
        is."""
        if self.direct:
            return None
        durable = {"durable": "true" if self._durable else "false"}
        return Operation("session/settings", durable, lambda _: None)

    def _connected(self) -> AsyncConnection[Any]:
        """Return the present connection: another coroutine may have replaced the earlier one."""
        if self.connection is None or self.connection.closed:
            raise StoreUnavailable("the connection to PostgreSQL is lost")
        if self._patience.doubts:
            raise StoreUnavailable(
                "another connection to PostgreSQL got no answer, and this one may not either"
            )
        return self.connection
