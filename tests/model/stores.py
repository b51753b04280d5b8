"""Stores for random histories: each is opened once, and emptied for every history."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count

import psycopg
from psycopg.conninfo import make_conninfo
from redis import Redis

from pgqueue import embedded, statements
from pgqueue.backends.base import Backend
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.backends.redis import RedisBackend
from pgqueue.backends.sqlite import SqliteBackend
from tests import valkey
from tests.conftest import SETTINGS, fastest_folder

Empty = Callable[[], Backend]

TABLES = (
    *("job", "archive", "dependency", "workflow", "queue", "queue_key", "start", "tally", "audit"),
    "recent",
    *("schedule", "firing", "worker", "leader"),
)
# What prune has made: in a history they would decide when what is past its retention goes.
DAYS = r"""
SELECT part.oid::regclass
FROM pg_class AS part
WHERE part.relnamespace = %s::regnamespace AND part.relispartition AND part.relkind = 'r'
  AND part.relname ~ '_\d+_\d+$'
"""


@contextmanager
def postgres(url: str | None) -> Iterator[Empty]:
    """In a schema of its own, in the database at *url* or on a server started for it."""
    with ExitStack() as stack:
        if url is None:
            start = embedded.start(fastest_folder(), ephemeral=True, options=SETTINGS)
            url = stack.enter_context(start).url
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        schema = f"model_{os.getpid()}"
        stack.callback(connection.execute, f"DROP SCHEMA {schema} CASCADE".encode())
        for file in statements.schema_files("postgres"):
            connection.execute(statements.in_schema(file.up, schema).encode())
        # Planning takes longer than everything else.
        options = "-c plan_cache_mode=force_generic_plan -c synchronous_commit=off"
        backend = PostgresBackend(make_conninfo(url, options=options), schema=schema)
        stack.callback(backend.close)
        with backend.user_connection() as pooled:
            pooled.prepare_threshold = 0
        histories = count(1)

        def empty() -> Backend:
            for (day,) in connection.execute(DAYS, [schema]).fetchall():
                connection.execute(f"DROP TABLE {day}".encode())
            tables = [f"{schema}.{table}" for table in TABLES]
            connection.execute("".join(f"DELETE FROM {table};" for table in tables).encode())
            if next(histories) % 10 == 0:  # it makes all that is prepared be planned anew
                connection.execute(f"VACUUM {', '.join(tables)}".encode())
            return backend

        yield empty


@contextmanager
def sqlite(url: str | None) -> Iterator[Empty]:
    """In memory, or in a file of its own beside the one at *url*."""
    opened: list[Backend] = []

    def empty() -> Backend:
        while opened:
            opened.pop().close()
        opened.append(SqliteBackend("sqlite:///:memory:"))
        return opened[0]

    yield empty
    while opened:
        opened.pop().close()


@contextmanager
def redis(url: str | None) -> Iterator[Empty]:
    """In a namespace of its own, on the server at *url* or on one started for it."""
    with ExitStack() as stack:
        if url is None:
            url = stack.enter_context(valkey.server()).url
        schema = f"model_{os.getpid()}"
        backend = RedisBackend(url, schema=schema)
        stack.callback(backend.close)
        client = stack.enter_context(Redis.from_url(url))

        def empty() -> Backend:
            for key in client.scan_iter(f"{{{schema}}}*", count=10_000):
                client.delete(key)
            return backend

        stack.callback(empty)
        yield empty


STORES: Mapping[str, Callable[[str | None], AbstractContextManager[Empty]]] = {
    "postgres": postgres,
    "sqlite": sqlite,
    "redis": redis,
}
