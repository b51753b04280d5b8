"""Django's databases: a connection with its open transaction, and a URL of it for workers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionProxy

from pgqueue.backends import connections as known
from pgqueue.backends.borrowing import Borrowed
from pgqueue.backends.connections import Recognised
from pgqueue.errors import UnsupportedConnection

STORES: Final = {"postgresql": "postgres", "sqlite": "sqlite"}


def register() -> None:
    """Have `enqueue` and `execute` take Django's connections."""
    known.register("django.utils.connection.ConnectionProxy", recognise)
    known.register("django.db.backends.base.base.BaseDatabaseWrapper", recognise)


def recognise(connection: Any) -> Recognised | None:
    """Return what *connection* is: one of `django.db.connections`, or `django.db.connection`."""
    if isinstance(connection, ConnectionProxy):
        connection = connection._connections[connection._alias]
    if not isinstance(connection, BaseDatabaseWrapper):
        return None
    return Recognised(store_of(connection), False, partial(borrowed, connection))


def store_of(connection: Any) -> str:
    """Return the store that *connection* leads to. Raises UnsupportedConnection."""
    store = STORES.get(connection.vendor)
    if store is None:
        raise UnsupportedConnection(
            f"the database {connection.alias!r} is {connection.display_name}; pgqueue's tables can "
            "be in PostgreSQL or SQLite"
        )
    return store


def borrowed(connection: Any) -> Borrowed:
    """Return *connection* for pgqueue's statements, which become part of its transaction."""

    def together() -> AbstractContextManager[Any]:
        if connection.in_atomic_block or not connection.get_autocommit():
            return nullcontext()
        found: AbstractContextManager[Any] = transaction.atomic(using=connection.alias)
        return found

    connection.ensure_connection()
    return Borrowed(
        connection.connection,
        connection.cursor,
        together,
        partial(transaction.atomic, using=connection.alias),
        _prepared(connection),
    )


def _prepared(connection: Any) -> set[str]:
    """Return the SQL functions that the driver's connection below *connection* has; none if it is
    new."""
    known, prepared = connection.__dict__.get("_pgqueue", (None, set()))
    if known is not connection.connection:
        prepared = set()
        connection._pgqueue = (connection.connection, prepared)
    return prepared


def url_of(alias: str) -> str:
    """Return the URL of the database *alias*, for workers, which have connections of their own.

    Raises ImproperlyConfigured for a database that no other process could reach.
    """
    connection = connections[alias]
    if store_of(connection) == "sqlite":
        return _sqlite_url(connection)
    from psycopg import pq

    options = {default.keyword.decode() for default in pq.Conninfo.get_defaults()}
    given = connection.get_connection_params()
    params = {name: str(value) for name, value in given.items() if name in options and value}
    params.pop("client_encoding", None)
    if role := connection.settings_dict["OPTIONS"].get("assume_role"):
        params["options"] = f"{params.get('options', '')} -c role={role}".strip()
    user, password = params.pop("user", ""), params.pop("password", "")
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    name = quote(params.pop("dbname", ""), safe="")
    return f"postgresql://{who}{'@' if who else ''}/{name}?{urlencode(params, quote_via=quote)}"


def _sqlite_url(connection: Any) -> str:
    name = str(connection.settings_dict["NAME"])
    if connection.is_in_memory_db() or name.startswith("file:"):
        raise ImproperlyConfigured(
            f"the database {connection.alias!r} is in this process's memory: a worker does not "
            "see it. In tests, run its jobs with drain() of pgqueue.contrib.django.testing"
        )
    return f"sqlite:///{quote(str(Path(name).resolve()))}"
