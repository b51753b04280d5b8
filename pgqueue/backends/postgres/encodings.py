"""An application's connections that do not speak UTF-8; ours always do (`pgqueue.addresses`).

Arguments and keys may hold any character, and a client in SQL_ASCII gets bytes as answers. So while
pgqueue uses the connection it is set to UTF-8, and then back to its own encoding. After a failure
nothing needs to be undone: the setting ends with the transaction or its savepoint.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any, Final

from psycopg import AsyncConnection, Connection
from psycopg.pq import TransactionStatus

from pgqueue.backends.postgres.running import AsyncioRunner, BlockingRunner, is_idle
from pgqueue.errors import UnsupportedConnection
from pgqueue.operations import Operation

_UTF8: Final = b"UTF8"


def speaks_utf8(connection: Connection[Any] | AsyncConnection[Any]) -> bool:
    """Does *connection* send text as UTF-8? Costs no round trip."""
    return connection.pgconn.parameter_status(b"client_encoding") == _UTF8


@contextmanager
def in_utf8(connection: Connection[Any], runner: BlockingRunner) -> Iterator[BlockingRunner]:
    """Have *connection* speak UTF-8 within the block, in its transaction or in one that ends with
    the block."""
    before = _spoken(connection)
    with connection.transaction() if is_idle(connection) else nullcontext():
        runner.execute(_speak("UTF8"))
        try:
            yield runner
        finally:
            if connection.pgconn.transaction_status == TransactionStatus.INTRANS:
                runner.execute(_speak(before))


@asynccontextmanager
async def in_utf8_async(
    connection: AsyncConnection[Any], runner: AsyncioRunner
) -> AsyncIterator[AsyncioRunner]:
    """As `in_utf8`, without blocking the event loop."""
    before = _spoken(connection)
    async with connection.transaction() if is_idle(connection) else nullcontext():
        await runner.execute(_speak("UTF8"))
        try:
            yield runner
        finally:
            if connection.pgconn.transaction_status == TransactionStatus.INTRANS:
                await runner.execute(_speak(before))


def _speak(encoding: str) -> Operation[None]:
    return Operation("session/encoding", {"encoding": encoding}, lambda _: None)


def _spoken(connection: Connection[Any] | AsyncConnection[Any]) -> str:
    """Return the present encoding. Raises UnsupportedConnection where it cannot be changed."""
    name = (connection.pgconn.parameter_status(b"client_encoding") or b"").decode()
    if connection.pgconn.pipeline_status:  # the server answers only at its end
        raise UnsupportedConnection(
            f"in a pipeline, a connection whose client_encoding is {name} is not taken: "
            "connect with client_encoding=UTF8"
        )
    return name
