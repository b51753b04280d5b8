"""The schema: numbered SQL files, and four ways to apply them that end in the same place.

* `pgqueue migrate`, which is `migrate`;
* `alembic upgrade head` in a checkout;
* a revision of the application's own::

      def upgrade() -> None:
          pgqueue.migrations.upgrade(op.get_bind(), to="0002")

* `psql --single-transaction -f sql/postgres/schema/0001_jobs.sql -f …/0002_archived_args.sql`.

PostgreSQL and SQLite have the same revisions. Each file is applied once and records itself in the
table `migration` of the queue's schema (`pgqueue_migration` in SQLite): that table is the truth,
whoever ran the file, and Alembic's own version table is made to agree with it. Migrators take
turns. A schema newer than this code knows is left alone: while a new release is rolled out, that is
the usual case.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy
from alembic import command, op
from alembic.config import Config
from sqlalchemy import Connection, MetaData, Table
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from pgqueue import statements
from pgqueue.dialects import Dialect, dialect_of
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


def head(store: str = "postgres") -> str:
    """The version this release of pgqueue needs."""
    return statements.head(store)


def dialect(bind: Connection | None) -> Dialect:
    """What *bind* leads to; without one, what Alembic writes a script for."""
    return dialect_of((op.get_context() if bind is None else bind).dialect.name)


def current(bind: Connection, schema: str = "pgqueue") -> str | None:
    """The version the database is at; None when the queue is not there."""
    database = dialect(bind)
    if not database.is_there(bind, schema):
        return None
    (step,) = load(database.store, schema)["version"].steps
    version: str | None = bind.exec_driver_sql(step.sql).scalar()
    return version


def known(bind: Connection, schema: str = "pgqueue") -> str:
    """The last of this release's versions that the database has: head, where it has newer ones."""
    return min(current(bind, schema) or "", head(dialect(bind).store)) or BASE


def upgrade(
    bind: Connection | None, *, to: str = HEAD, start: str = BASE, schema: str = "pgqueue"
) -> None:
    """Apply the files up to *to* that have not been applied, in the transaction of *bind*.

    In Alembic's offline mode, where *bind* is no connection, write them to its script: those after
    *start*, the version that an earlier revision led to. Raises PgqueueError for a version that
    this pgqueue does not know.
    """
    database = dialect(bind)
    if not isinstance(bind, Connection):
        op.get_context().impl.static_output(_up(database.store, start, to, schema))
        return
    database.take_turn(bind, schema)
    _run(bind, _up(database.store, known(bind, schema), to, schema))


def downgrade(
    bind: Connection | None, *, to: str = BASE, start: str = HEAD, schema: str = "pgqueue"
) -> None:
    """Undo the files after *to*, the last one first; the jobs in them are gone.

    At the base the schema goes too, unless something else is in it. Offline, *start* is where it
    begins. Raises PgqueueError for an unknown version, and for one only a newer pgqueue can undo.
    """
    database = dialect(bind)
    if not isinstance(bind, Connection):
        op.get_context().impl.static_output(_down(database.store, start, to, schema))
        return
    database.take_turn(bind, schema)
    at = current(bind, schema) or BASE
    if at != BASE and at > head(database.store):
        raise PgqueueError(
            f"the schema {schema} is at version {at}: only a newer pgqueue undoes it"
        )
    _run(bind, _down(database.store, at, to, schema))
    if to == BASE and not _alembic_notes_it(database, schema):
        leave(bind, schema)


def script(to: str = HEAD, *, schema: str = "pgqueue", store: str = "postgres") -> str:
    """The SQL of all files up to *to*, as one transaction on a database without the queue."""
    return f"BEGIN;\n\n{_up(store, BASE, to, schema)}\nCOMMIT;\n"


def migrate(url: str, *, to: str = HEAD, schema: str = "pgqueue") -> None:
    """Bring the database at *url* to version *to*, up or down, through Alembic.

    Raises StoreUnavailable, PgqueueError for an unknown version.
    """
    store = database_at(url).store
    target = _index(store, to)
    with connected(url) as bind:
        down = to != HEAD and target < _index(store, known(bind, schema))
        config = Config(attributes={"connection": bind, "schema": schema})
        config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
        (command.downgrade if down else command.upgrade)(config, to)


def check(url: str, *, schema: str = "pgqueue") -> str:
    """The version of the database at *url*.

    Raises SchemaMissing, SchemaOutOfDate, StoreUnavailable.
    """
    with connected(url) as bind:
        version = current(bind, schema)
    return sufficient(version, database_at(url).store, schema)


def sufficient(version: str | None, store: str, schema: str) -> str:
    """*version*, if it is enough for this pgqueue. Raises SchemaMissing, SchemaOutOfDate."""
    needed = head(store)
    if version is None:
        raise SchemaMissing(f"there is no queue in the schema {schema} yet; run `pgqueue migrate`")
    if version < needed:
        raise SchemaOutOfDate(
            f"the schema {schema} is at version {version}, this pgqueue needs {needed}; "
            "run `pgqueue migrate`"
        )
    return version


def database_at(url: str) -> Dialect:
    """Which database *url* names. Raises PgqueueError where there is nothing to migrate."""
    scheme, found, _ = url.partition("://")  # of the rest nothing is said: it has a password
    name = scheme.partition("+")[0] if found else "a URL without a scheme"
    return dialect_of("postgresql" if name == "postgres" else name)


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection to the database at *url*, in a transaction.

    Raises StoreUnavailable, InvalidUrl.
    """
    database = database_at(url)
    try:
        address = sqlalchemy.make_url(url)
    except (ValueError, SQLAlchemyError):  # what it says would repeat a part of the URL
        raise InvalidUrl from None
    if "@" in (address.host or "")[1:]:  # the end of a password, in what the resolver says
        raise InvalidUrl
    engine = database.engine(address)
    try:
        connection = engine.connect()
    except OperationalError as error:
        line = str(error.orig).strip().partition("\n")[0]
        raise StoreUnavailable(f"{database.title} cannot be reached: {line}") from error
    with connection, connection.begin():
        yield connection


def leave(bind: Connection, schema: str) -> None:
    """Drop what is left of a queue that was undone: Alembic's version of it, and its schema."""
    database = dialect(bind)
    name, where = _version_table(database, schema)
    Table(name, MetaData(), schema=where).drop(bind, checkfirst=True)
    database.drop_schema(bind, schema)


def _version_table(database: Dialect, schema: str) -> tuple[str, str | None]:
    options = database.version_table(schema)
    return options.get("version_table", "alembic_version"), options.get("version_table_schema")


def _alembic_notes_it(database: Dialect, schema: str) -> bool:
    """Is Alembic at work that keeps a version of the queue, and will note what it has done?"""
    try:
        context = op.get_context()
    except (NameError, AttributeError):  # it is not, or no longer
        return False
    return (context.version_table, context.version_table_schema) == _version_table(database, schema)


def _up(store: str, start: str, to: str, schema: str) -> str:
    return "\n".join(in_schema(file.up, schema) for file in _between(store, start, to))


def _down(store: str, start: str, to: str, schema: str) -> str:
    files = reversed(_between(store, to, start))
    return "\n".join(in_schema(file.down, schema) for file in files)


def _between(store: str, start: str, to: str) -> tuple[SchemaFile, ...]:
    """The files after *start*, up to *to*."""
    return schema_files(store)[_index(store, start) : _index(store, to)]


def _index(store: str, version: str) -> int:
    """How many of the files lead to *version*."""
    versions = [BASE, *(file.version for file in schema_files(store))]
    if version == HEAD:
        version = versions[-1]
    if version not in versions:
        raise PgqueueError(
            f"no schema version {version} in this pgqueue; there are {', '.join(versions)} and head"
        )
    return versions.index(version)


def _run(bind: Connection, sql: str) -> None:
    if sql:
        dialect(bind).run(bind, sql)


def _scripts() -> Path:
    """The folder of Alembic's revisions: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    inside = package / "_migrations"
    return inside if inside.is_dir() else package.parent / "migrations"
