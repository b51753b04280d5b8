"""The schema: numbered SQL files, and four ways to apply them that end in the same place.

* `pgqueue migrate`, which is `migrate`;
* `alembic upgrade head` in a checkout;
* a revision of the application's own::

      def upgrade() -> None:
          pgqueue.migrations.upgrade(op.get_bind(), to="0001")

* `psql --single-transaction -f sql/postgres/schema/0001_jobs.sql`.

Each file is applied once and records itself in the table `migration` of the queue's schema: that
table is the truth, whoever ran the file, and Alembic's own version table is made to agree with it.
Migrators take turns. A schema newer than this code knows is left alone: while a new release is
rolled out, that is the usual case.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy
from alembic import command, op
from alembic.config import Config
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateSchema, DropSchema

from pgqueue.errors import (
    InvalidUrl,
    PgqueueError,
    SchemaMissing,
    SchemaOutOfDate,
    StoreUnavailable,
)
from pgqueue.statements import SchemaFile, in_schema, load, schema_files

BASE: Final = "base"
HEAD: Final = "head"

# Something else is in the schema, or it is somebody else's.
_MUST_STAY: Final = ("2BP01", "42501")


def head() -> str:
    """The version this release of pgqueue needs."""
    return schema_files("postgres")[-1].version


def current(bind: Connection, schema: str = "pgqueue") -> str | None:
    """The version the database is at; None when the queue is not there."""
    if not sqlalchemy.inspect(bind).has_table("migration", schema=schema):
        return None
    (step,) = load("postgres", schema)["version"].steps
    version: str | None = bind.exec_driver_sql(step.sql).scalar()
    return version


def upgrade(
    bind: Connection | None, *, to: str = HEAD, start: str = BASE, schema: str = "pgqueue"
) -> None:
    """Apply the files up to *to* that have not been applied, in the transaction of *bind*.

    In Alembic's offline mode, where *bind* is None, write them to its script: those after *start*,
    the version that an earlier revision led to. Raises PgqueueError for an unknown version.
    """
    if bind is None:
        op.get_context().impl.static_output(_up(start, to, schema))
        return
    take_turn(bind, schema)
    _run(bind, _up(current(bind, schema) or BASE, to, schema))


def downgrade(
    bind: Connection | None, *, to: str = BASE, start: str = HEAD, schema: str = "pgqueue"
) -> None:
    """Undo the files after *to*, the last one first; the jobs in them are gone.

    At the base the schema goes too, unless something else is in it. Offline, *start* is where it
    begins. Raises PgqueueError for an unknown version, and for one only a newer pgqueue can undo.
    """
    if bind is None:
        op.get_context().impl.static_output(_down(start, to, schema))
        return
    take_turn(bind, schema)
    at = current(bind, schema) or BASE
    if at != BASE and at > head():
        raise PgqueueError(
            f"the schema {schema} is at version {at}: only a newer pgqueue undoes it"
        )
    _run(bind, _down(at, to, schema))
    if to == BASE:
        drop_schema(bind, schema)


def script(to: str = HEAD, *, schema: str = "pgqueue") -> str:
    """The SQL of all files up to *to*, as one transaction on a database without the queue."""
    return f"BEGIN;\n\n{_up(BASE, to, schema)}\nCOMMIT;\n"


def migrate(url: str, *, to: str = HEAD, schema: str = "pgqueue") -> None:
    """Bring the database at *url* to version *to*, up or down, through Alembic.

    Raises StoreUnavailable, PgqueueError for an unknown version.
    """
    target = _index(to)
    with connected(url) as bind:
        down = to != HEAD and target < _index(current(bind, schema) or BASE)
        config = Config(attributes={"connection": bind, "schema": schema})
        config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
        (command.downgrade if down else command.upgrade)(config, to)


def check(url: str, *, schema: str = "pgqueue") -> str:
    """The version of the database at *url*.

    Raises SchemaMissing, SchemaOutOfDate, StoreUnavailable.
    """
    with connected(url) as bind:
        version = current(bind, schema)
    if version is None:
        raise SchemaMissing(f"there is no queue in the schema {schema} yet; run `pgqueue migrate`")
    if version < head():
        raise SchemaOutOfDate(
            f"the schema {schema} is at version {version}, this pgqueue needs {head()}; "
            "run `pgqueue migrate`"
        )
    return version


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection to the database at *url*, in a transaction.

    Raises StoreUnavailable, InvalidUrl.
    """
    try:
        address = sqlalchemy.make_url(url).set(drivername="postgresql+psycopg")
    except (ValueError, SQLAlchemyError):  # what it says would repeat a part of the URL
        raise InvalidUrl from None
    if "@" in (address.host or "")[1:]:  # the end of a password, in what the resolver says
        raise InvalidUrl
    engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
    try:
        connection = engine.connect()
    except OperationalError as error:
        line = str(error.orig).strip().partition("\n")[0]
        raise StoreUnavailable(f"PostgreSQL cannot be reached: {line}") from error
    with connection, connection.begin():
        yield connection


def take_turn(bind: Connection, schema: str) -> None:
    """Wait for other migrators of *schema*; the turn ends with the transaction."""
    in_schema("", schema)  # its name is checked before it stands in a statement
    key = func.hashtextextended(f"pgqueue migration {schema}", 0)
    bind.execute(select(func.pg_advisory_xact_lock(key)))


def create_schema(bind: Connection, schema: str) -> None:
    """Make *schema*; where it is there, nobody needs the right to make one."""
    if not sqlalchemy.inspect(bind).has_schema(schema):
        bind.execute(CreateSchema(schema))


def drop_schema(bind: Connection, schema: str) -> None:
    """Drop *schema*, unless something is in it or it is somebody else's."""
    try:
        with bind.begin_nested():
            bind.execute(DropSchema(schema, if_exists=True))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _MUST_STAY:
            raise


def _up(start: str, to: str, schema: str) -> str:
    return "\n".join(in_schema(file.up, schema) for file in _between(start, to))


def _down(start: str, to: str, schema: str) -> str:
    return "\n".join(in_schema(file.down, schema) for file in reversed(_between(to, start)))


def _between(start: str, to: str) -> tuple[SchemaFile, ...]:
    """The files after *start*, up to *to*."""
    return schema_files("postgres")[_index(start) : _index(to)]


def _index(version: str) -> int:
    """How many of the files lead to *version*: all of them, to a newer one."""
    known = [file.version for file in schema_files("postgres")]
    if version == BASE:
        return 0
    if version == HEAD or (version.isdigit() and version > known[-1]):
        return len(known)
    if version not in known:
        raise PgqueueError(
            f"no schema version {version}; there are {', '.join(known)}, base and head"
        )
    return known.index(version) + 1


def _run(bind: Connection, sql: str) -> None:
    """Runs *sql* as it stands: several statements, and signs that are placeholders elsewhere."""
    if sql:
        bind.exec_driver_sql(sql, execution_options={"no_parameters": True})


def _scripts() -> Path:
    """The folder of Alembic's revisions: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    inside = package / "_migrations"
    return inside if inside.is_dir() else package.parent / "migrations"
