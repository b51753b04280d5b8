"""What migrating needs to know of each SQL database.

That is where the tables go, and how migrators take turns.
"""

from __future__ import annotations

import logging
import time
from itertools import count
from typing import Any, ClassVar, Final, Protocol

import psycopg
import sqlalchemy
from sqlalchemy import Connection, Engine, event, func, make_url, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateSchema, DropSchema

from pgqueue.addresses import conninfo, settings
from pgqueue.errors import PgqueueError
from pgqueue.statements.files import in_schema
from pgqueue.statements.sql import split

log = logging.getLogger("pgqueue.migrations")

# How long a migration waits for a lock, and how often it tries again: ten minutes in all.
LOCK_TIMEOUT: Final = "100ms"
LOCK_PAUSE_SECONDS: Final = 0.5
LOCK_ATTEMPTS: Final = 1_000
_LOCKED: Final = "55P03"

# SQLSTATEs after which the schema stays: something else is in it, or somebody else owns it.
_MUST_STAY: Final = ("2BP01", "42501")


class Dialect(Protocol):
    """A database that Alembic migrates."""

    store: ClassVar[str]
    title: ClassVar[str]
    name: ClassVar[str]
    """SQLAlchemy's name for it."""

    def engine(self, url: str) -> Engine:
        """Return an engine for *url*. Raises InvalidUrl."""
        ...

    def version_table(self, schema: str) -> dict[str, Any]:
        """Return the options of Alembic's context that say where it keeps its own version."""
        ...

    def is_there(self, bind: Connection, schema: str) -> bool:
        """Is there a queue in *schema*?"""
        ...

    def take_turn(self, bind: Connection, schema: str) -> None:
        """Wait for other migrators of *schema*; the turn ends with the transaction."""
        ...

    def create_schema(self, bind: Connection, schema: str) -> None:
        """Create *schema*, unless it exists: then the role needs no right to create one."""
        ...

    def drop_schema(self, bind: Connection, schema: str) -> None:
        """Drop *schema*, unless something else is in it or somebody else owns it."""
        ...

    def settle(self, bind: Connection) -> None:
        """Make a transaction of our own independent of the settings of role and database."""
        ...

    def run(self, bind: Connection, sql: str) -> None:
        """Run a script as it stands, without taking anything in it for a placeholder."""
        ...


class Postgres:
    """A schema of its own; migrators queue for an advisory lock."""

    store: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    name: ClassVar[str] = "postgresql"

    def engine(self, url: str) -> Engine:
        """Return an engine that connects as libpq reads *url*, as workers do.

        SQLAlchemy's own reading knows neither several hosts with a port each, nor sockets.
        """
        address = conninfo(url)
        return sqlalchemy.create_engine(
            "postgresql+psycopg://",
            poolclass=sqlalchemy.NullPool,
            creator=lambda: psycopg.connect(address, **settings(address)),
        )

    def version_table(self, schema: str) -> dict[str, Any]:
        return {"version_table_schema": schema}

    def is_there(self, bind: Connection, schema: str) -> bool:
        return sqlalchemy.inspect(bind).has_table("migration", schema=schema)

    def take_turn(self, bind: Connection, schema: str) -> None:
        in_schema("", schema)  # raises for a name that is not plain
        key = func.hashtextextended(f"pgqueue migration {schema}", 0)
        bind.execute(select(func.pg_advisory_xact_lock(key)))

    def create_schema(self, bind: Connection, schema: str) -> None:
        if not sqlalchemy.inspect(bind).has_schema(schema):
            bind.execute(CreateSchema(schema))

    def drop_schema(self, bind: Connection, schema: str) -> None:
        try:
            with bind.begin_nested():
                bind.execute(DropSchema(schema, if_exists=True))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _MUST_STAY:
                raise

    def settle(self, bind: Connection) -> None:
        """Allow any duration, and find the catalog before other objects with the same names."""
        path = func.concat_ws(
            ", ", "pg_catalog", func.nullif(func.current_setting("search_path"), "")
        )
        bind.execute(
            select(
                func.set_config("statement_timeout", "0", True),
                func.set_config("search_path", path, True),
            )
        )

    def run(self, bind: Connection, sql: str) -> None:
        """Run the statements of *sql*, and all of them again while a table is locked.

        A statement that waits for a table's lock makes all later statements on the table wait
        behind it. So the migration soon gives up, releases all its locks, and tries again. The
        statements are sent one by one, for drivers that prepare each.
        """
        steps = split(sql, "named")
        before = bind.scalar(select(func.current_setting("lock_timeout")))
        for attempt in count(1):
            try:
                with bind.begin_nested():
                    bind.execute(select(func.set_config("lock_timeout", LOCK_TIMEOUT, True)))
                    for step in steps:
                        bind.exec_driver_sql(step.sql, execution_options={"no_parameters": True})
                    bind.execute(select(func.set_config("lock_timeout", before, True)))
                return
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) != _LOCKED or attempt == LOCK_ATTEMPTS:
                    raise
                if attempt == 1:
                    log.warning(
                        "the migration waits for a table that a transaction has: %s", error.orig
                    )
            time.sleep(LOCK_PAUSE_SECONDS)


class Sqlite:
    """Tables with a prefix; migrators queue for the file's one lock for writers."""

    store: ClassVar[str] = "sqlite"
    title: ClassVar[str] = "SQLite"
    name: ClassVar[str] = "sqlite"

    def engine(self, url: str) -> Engine:
        address = make_url(url).set(drivername="sqlite+pysqlite", query={})
        engine = sqlalchemy.create_engine(
            address, poolclass=sqlalchemy.NullPool, connect_args={"timeout": 60}
        )
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _begin)
        return engine

    def version_table(self, schema: str) -> dict[str, Any]:
        return {"version_table": f"{schema}_alembic_version"}

    def is_there(self, bind: Connection, schema: str) -> bool:
        return sqlalchemy.inspect(bind).has_table(f"{schema}_migration")

    def take_turn(self, bind: Connection, schema: str) -> None:
        in_schema("", schema)
        if not bind.in_transaction():
            bind.begin()
        # SQLAlchemy has made the driver's connection, and takes its transaction for begun.
        if not bind.connection.driver_connection.in_transaction:  # type: ignore[union-attr]  # not None, as said above
            _begin(bind)  # sqlite3 begins one only before an INSERT

    def create_schema(self, bind: Connection, schema: str) -> None:
        pass

    def drop_schema(self, bind: Connection, schema: str) -> None:
        pass

    def settle(self, bind: Connection) -> None:
        pass

    def run(self, bind: Connection, sql: str) -> None:
        for step in split(sql, "named"):
            bind.exec_driver_sql(step.sql)


DIALECTS: Final[dict[str, Dialect]] = {dialect.name: dialect for dialect in (Postgres(), Sqlite())}


def dialect_of(name: str) -> Dialect:
    """Return the database that SQLAlchemy calls *name*.

    Raises PgqueueError where there is nothing to migrate.
    """
    if name not in DIALECTS:
        raise PgqueueError(f"{name}: only PostgreSQL and SQLite have tables to migrate")
    return DIALECTS[name]


def _leave_transactions_to_us(connection: Any, record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = wal")


def _begin(bind: Connection) -> None:
    bind.exec_driver_sql("BEGIN IMMEDIATE")
