"""Is a pooler between us and the server? Each connection is asked once, when it is made.

Behind a pooler in transaction mode, each transaction may run on another of the server's sessions,
which other clients use in between. So nothing that belongs to a session may be used: no prepared
statement, which would be missing, or another client's, in the next transaction; no SET, which would
hold for the next client, `synchronous_commit = off` for instance; no LISTEN, whose notifications
would go elsewhere; no advisory lock, which would never be released.

A pooler in session mode looks the same from here, and is treated the same. `listen_url` is the way
around either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection, AsyncRawCursor, Connection, RawCursor
from psycopg.rows import tuple_row

from pgqueue.statements.sql import Statement

Statements = Mapping[str, Statement]


def is_direct(connection: Connection[Any], statements: Statements) -> bool:
    """Is *connection* a session of the server's? If not, it prepares no statements from now on.

    The server's process id is compared with the one that the connection was told at its start: a
    pooler invents one.
    """
    [step] = statements["session/is_direct"].steps
    cursor = RawCursor(connection, row_factory=tuple_row)
    cursor.execute(step.sql.encode(), [str(connection.pgconn.backend_pid)], prepare=False)
    [(direct,)] = cursor.fetchall()
    if not direct:
        connection.prepare_threshold = None
    return bool(direct)


async def is_direct_async(connection: AsyncConnection[Any], statements: Statements) -> bool:
    """As `is_direct`, without blocking the event loop."""
    [step] = statements["session/is_direct"].steps
    cursor = AsyncRawCursor(connection, row_factory=tuple_row)
    await cursor.execute(step.sql.encode(), [str(connection.pgconn.backend_pid)], prepare=False)
    [(direct,)] = await cursor.fetchall()
    if not direct:
        connection.prepare_threshold = None
    return bool(direct)
