"""Apply and undo the schema files, with Alembic or without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command, op
from alembic.config import Config
from sqlalchemy import Connection, MetaData, Table
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from pgqueue import statements
from pgqueue.errors import (
    InvalidUrl,
    PgqueueError,
    SchemaMissing,
    SchemaOutOfDate,
    StoreUnavailable,
)
from pgqueue.migrations.dialects import Dialect, dialect_of
from pgqueue.statements.files import SchemaFile, in_schema, load, schema_files

BASE: Final = "base"
HEAD: Final = "head"


def head(store: str = "postgres") -> str:
    """Return the version that this release of pgqueue needs."""
    return statements.head(store)


def dialect(bind: Connection | None) -> Dialect:
    """Return the database that *bind* leads to; without one, that of Alembic's offline script."""
    return dialect_of((op.get_context() if bind is None else bind).dialect.name)


def current(bind: Connection, schema: str = "pgqueue") -> str | None:
    """Return the version of the schema in the database; None when there is none."""
    database = dialect(bind)
    if not database.is_there(bind, schema):
        return None
    (step,) = load(database.store, schema)["version"].steps
    version: str | None = bind.exec_driver_sql(step.sql).scalar()
    return version


def known(bind: Connection, schema: str = "pgqueue") -> str:
    """Return the latest version in the database that this release knows; head if the database is
    newer."""
    return min(current(bind, schema) or "", head(dialect(bind).store)) or BASE


def upgrade(
    bind: Connection | None, *, to: str = HEAD, start: str = BASE, schema: str = "pgqueue"
) -> None:
    """Apply the files up to *to* that have not been applied, in the transaction of *bind*.

    In Alembic's offline mode, where *bind* is no connection, write them to its script: the files
    after *start*, the version to which an earlier revision led. Raises PgqueueError for a version
    that this pgqueue does not know.
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
    """Undo the files after *to*, the last one first; the jobs in them are lost.

    At the base the schema goes too, unless something else is in it. Offline, *start* is the version
    to begin with. Raises PgqueueError for an unknown version, and for one only a newer pgqueue can
    undo.
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


def include_name(
    name: str | None, type_: str, parent_names: Mapping[str, str | None], schema: str = "pgqueue"
) -> bool:
    """Keep the queue's tables out of the application's own Alembic: `configure(include_name=…)`.

    The application's metadata does not have them, so autogenerate would drop them.
    """
    if type_ == "schema":
        return name != schema
    if type_ == "table":
        return parent_names.get("schema_name") != schema and not _is_ours(name, schema)
    return True


def include_object(
    object: Any, name: str | None, type_: str, reflected: bool, compare_to: Any
) -> bool:
    """As `include_name`, for an application that filters by `configure(include_object=…)`."""
    if type_ != "table" or not reflected:
        return True
    return object.schema != "pgqueue" and not _is_ours(name, "pgqueue")


def _is_ours(name: str | None, schema: str) -> bool:
    """Is *name* one of the queue's tables in SQLite, where they have a prefix?"""
    return (name or "").startswith(f"{schema}_")


def script(to: str = HEAD, *, schema: str = "pgqueue", store: str = "postgres") -> str:
    """Return the SQL of all files up to *to*, one transaction for a database without the queue."""
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
    """Return the version of the database at *url*, if it is enough for this pgqueue.

    Raises SchemaMissing, SchemaOutOfDate, StoreUnavailable.
    """
    with connected(url) as bind:
        version = current(bind, schema)
    return sufficient(version, database_at(url).store, schema)


def sufficient(version: str | None, store: str, schema: str) -> str:
    """Return *version*, if it is enough. Raises SchemaMissing, SchemaOutOfDate."""
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
    """Return the database that *url* names. Raises PgqueueError if there is nothing to migrate."""
    scheme, colon, _ = url.partition("://")  # no message repeats the rest: it may have a password
    name = scheme.partition("+")[0] if colon else "a URL without a scheme"
    return dialect_of("postgresql" if name == "postgres" else name)


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Connect to the database at *url*, and begin a transaction that commits at the end.

    Raises StoreUnavailable, InvalidUrl.
    """
    database = database_at(url)
    try:
        engine = database.engine(url)
    except (ValueError, SQLAlchemyError) as error:  # its message would repeat a part of the URL
        raise (error if isinstance(error, InvalidUrl) else InvalidUrl()) from None
    try:
        connection = engine.connect()
    except OperationalError as error:
        line = str(error.orig).strip().partition("\n")[0]
        if database.store == "sqlite":
            raise StoreUnavailable.of_file(engine.url.database, line) from error
        raise StoreUnavailable(f"{database.title} cannot be reached: {line}") from error
    with connection, connection.begin():
        database.settle(connection)
        yield connection


def leave(bind: Connection, schema: str) -> None:
    """Drop what is left of a queue that was undone: Alembic's version table for it, and its
    schema."""
    database = dialect(bind)
    name, where = _version_table(database, schema)
    Table(name, MetaData(), schema=where).drop(bind, checkfirst=True)
    database.drop_schema(bind, schema)


def _version_table(database: Dialect, schema: str) -> tuple[str, str | None]:
    options = database.version_table(schema)
    return options.get("version_table", "alembic_version"), options.get("version_table_schema")


def _alembic_notes_it(database: Dialect, schema: str) -> bool:
    """Is Alembic running this, and will it write to the queue's version table afterwards?"""
    try:
        context = op.get_context()
    except (NameError, AttributeError):  # Alembic is not running
        return False
    return (context.version_table, context.version_table_schema) == _version_table(database, schema)


def _up(store: str, start: str, to: str, schema: str) -> str:
    return "\n".join(in_schema(file.up, schema) for file in _between(store, start, to))


def _down(store: str, start: str, to: str, schema: str) -> str:
    files = reversed(_between(store, to, start))
    return "\n".join(in_schema(file.down, schema) for file in files)


def _between(store: str, start: str, to: str) -> tuple[SchemaFile, ...]:
    """Return the files after *start*, up to *to*."""
    return schema_files(store)[_index(store, start) : _index(store, to)]


def _index(store: str, version: str) -> int:
    """Return the number of files up to *version*."""
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
    """Return the folder of Alembic's revisions: beside the package, or inside it in a wheel."""
    package = Path(__file__).parents[1]
    inside = package / "_migrations"
    return inside if inside.is_dir() else package.parent / "migrations"
