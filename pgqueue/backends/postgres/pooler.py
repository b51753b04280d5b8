"""Is a pooler in the way? Found out when a connection is made, and then lived with.

Behind one, in transaction mode, each transaction may run on another of the server's sessions, which
other clients use in between. So nothing that belongs to a session may be used: no prepared
statement, which would be missing, or somebody else's, at the next turn; no SET, which would go on
for whoever comes next, `synchronous_commit = off` among them; no LISTEN and no advisory lock, which
nobody would hear or ever give back. A pooler in session mode cannot be told from that, and is
treated alike: a way around it is what `listen_url` is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection, AsyncRawCursor, Connection, RawCursor
from psycopg.rows import tuple_row

from pgqueue.statements import Statement

Statements = Mapping[str, Statement]


def is_direct(connection: Connection[Any], statements: Statements) -> bool:
    """Whether *connection* is a session of the server's; if not, it prepares nothing from now
    on."""
    [step] = statements["direct"].steps
    cursor = RawCursor(connection, row_factory=tuple_row)
    cursor.execute(step.sql.encode(), [str(connection.pgconn.backend_pid)], prepare=False)
    [(direct,)] = cursor.fetchall()
    if not direct:
        connection.prepare_threshold = None
    return bool(direct)


async def is_direct_async(connection: AsyncConnection[Any], statements: Statements) -> bool:
    """As `is_direct`, without blocking the event loop."""
    [step] = statements["direct"].steps
    cursor = AsyncRawCursor(connection, row_factory=tuple_row)
    await cursor.execute(step.sql.encode(), [str(connection.pgconn.backend_pid)], prepare=False)
    [(direct,)] = await cursor.fetchall()
    if not direct:
        connection.prepare_threshold = None
    return bool(direct)
