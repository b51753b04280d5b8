"""What migrating needs to know of each SQL database: where the tables go, and how migrators take
turns."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Protocol

import sqlalchemy
from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateSchema, DropSchema

from pgqueue.errors import PgqueueError
from pgqueue.statements import in_schema, split

# Something else is in the schema, or it is somebody else's.
_MUST_STAY: Final = ("2BP01", "42501")


class Dialect(Protocol):
    """A database that Alembic migrates."""

    store: ClassVar[str]
    title: ClassVar[str]
    name: ClassVar[str]
    """As SQLAlchemy calls it."""

    def engine(self, url: URL) -> Engine: ...

    def version_table(self, schema: str) -> dict[str, Any]:
        """Where Alembic keeps its own version: options of its context."""
        ...

    def is_there(self, bind: Connection, schema: str) -> bool:
        """Is there a queue?"""
        ...

    def take_turn(self, bind: Connection, schema: str) -> None:
        """Wait for other migrators of *schema*; the turn ends with the transaction."""
        ...

    def create_schema(self, bind: Connection, schema: str) -> None:
        """Make *schema*; where it is there, nobody needs the right to make one."""
        ...

    def drop_schema(self, bind: Connection, schema: str) -> None:
        """Drop *schema*, unless something is in it or it is somebody else's."""
        ...

    def run(self, bind: Connection, sql: str) -> None:
        """Runs a script as it stands, signs that are placeholders elsewhere included."""
        ...


class Postgres:
    """A schema of its own, and an advisory lock."""

    store: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    name: ClassVar[str] = "postgresql"

    def engine(self, url: URL) -> Engine:
        address = url.set(drivername="postgresql+psycopg")
        return sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)

    def version_table(self, schema: str) -> dict[str, Any]:
        return {"version_table_schema": schema}

    def is_there(self, bind: Connection, schema: str) -> bool:
        return sqlalchemy.inspect(bind).has_table("migration", schema=schema)

    def take_turn(self, bind: Connection, schema: str) -> None:
        in_schema("", schema)  # its name is checked before it stands in a statement
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

    def run(self, bind: Connection, sql: str) -> None:
        bind.exec_driver_sql(sql, execution_options={"no_parameters": True})


class Sqlite:
    """Tables with a prefix, and the file's one lock for writers."""

    store: ClassVar[str] = "sqlite"
    title: ClassVar[str] = "SQLite"
    name: ClassVar[str] = "sqlite"

    def engine(self, url: URL) -> Engine:
        address = url.set(drivername="sqlite+pysqlite", query={})
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
        if not bind.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            _begin(bind)  # the driver would begin before an INSERT only

    def create_schema(self, bind: Connection, schema: str) -> None:
        pass

    def drop_schema(self, bind: Connection, schema: str) -> None:
        pass

    def run(self, bind: Connection, sql: str) -> None:
        for step in split(sql, named=True):
            bind.exec_driver_sql(step.sql)


DIALECTS: Final[dict[str, Dialect]] = {dialect.name: dialect for dialect in (Postgres(), Sqlite())}


def dialect_of(name: str) -> Dialect:
    """The database that SQLAlchemy calls *name*. Raises PgqueueError where there is nothing to
    migrate."""
    if name not in DIALECTS:
        raise PgqueueError(f"{name}: only PostgreSQL and SQLite have tables to migrate")
    return DIALECTS[name]


def _leave_transactions_to_us(connection: Any, record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = wal")


def _begin(bind: Connection) -> None:
    bind.exec_driver_sql("BEGIN IMMEDIATE")
