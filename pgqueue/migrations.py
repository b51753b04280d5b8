"""The schema: numbered SQL files, and four ways to apply them that end in the same place.

* ``pgqueue migrate``, which is `migrate`;
* ``alembic upgrade head`` in a checkout;
* the application's own Alembic revision::

      def upgrade() -> None:
          pgqueue.migrations.upgrade(op.get_bind(), to="0001")

* ``psql --single-transaction -f sql/postgres/schema/0001_jobs.sql``.

Each file is applied once and records itself in the table ``migration`` of the queue's schema: that
table is the truth, whoever ran the file. Alembic's own version table stands beside it, and is only
Alembic's; what is recorded already is passed over. Migrators take turns by an advisory lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgqueue.errors import PgqueueError, SchemaMissing, SchemaOutOfDate, StoreUnavailable
from pgqueue.statements import in_schema, load, schema_files

if TYPE_CHECKING:
    from sqlalchemy import Connection

VERSION_TABLE = "alembic_version"


def head() -> str:
    """The version this release of pgqueue needs."""
    return schema_files("postgres")[-1].version


def current(bind: Connection, schema: str = "pgqueue") -> str | None:
    """The version the database is at; None when the queue is not there."""
    from sqlalchemy import inspect

    version: str | None = None
    if inspect(bind).has_table("migration", schema=schema):
        version = _run(bind, load("postgres", schema)["version"].steps[0].sql).scalar()
    return version


def upgrade(bind: Connection, *, to: str = "head", schema: str = "pgqueue") -> None:
    """Apply the files up to *to* that have not been applied, in the transaction of *bind*.

    Raises PgqueueError for an unknown version.
    """
    target = _version(to)
    _take_turn(bind, schema)
    applied = current(bind, schema=schema) or ""
    for file in schema_files("postgres"):
        if applied < file.version <= target:
            _run(bind, in_schema(file.up, schema))


def downgrade(bind: Connection, *, to: str = "base", schema: str = "pgqueue") -> None:
    """Undo the files after *to*, the last one first. The jobs in them are gone.

    Raises PgqueueError for an unknown version.
    """
    target = "" if to == "base" else _version(to)
    _take_turn(bind, schema)
    applied = current(bind, schema=schema) or ""
    for file in reversed(schema_files("postgres")):
        if target < file.version <= applied:
            _run(bind, in_schema(file.down, schema))


def script(to: str = "head", *, schema: str = "pgqueue") -> str:
    """The SQL of all files up to *to*, to be run in one transaction on an empty database."""
    target = _version(to)
    files = [file for file in schema_files("postgres") if file.version <= target]
    return "BEGIN;\n\n" + "\n".join(in_schema(file.up, schema) for file in files) + "\nCOMMIT;\n"


def migrate(url: str, *, to: str = "head", schema: str = "pgqueue") -> None:
    """Bring the database at *url* to version *to*, up or down, through Alembic.

    Raises StoreUnavailable, PgqueueError for an unknown version.
    """
    from alembic import command
    from alembic.config import Config

    if to != "base":
        to = _version(to)
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.attributes.update(url=url, schema=schema)
    down = to == "base" or to < (_current(url, schema) or "")
    (command.downgrade if down else command.upgrade)(config, to)


def check(url: str, *, schema: str = "pgqueue") -> str:
    """The version of the database at *url*. Raises SchemaMissing, SchemaOutOfDate,
    StoreUnavailable."""
    version = _current(url, schema)
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
    """A connection to the database at *url*, in a transaction. Raises StoreUnavailable."""
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.pool import NullPool

    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.begin() as bind:
            yield bind
    except OperationalError as error:
        line = str(error.orig).strip().partition("\n")[0]
        raise StoreUnavailable(f"PostgreSQL cannot be reached: {line}") from error


def run(context: Any, *, url: str | None, schema: str | None) -> None:
    """Run Alembic's migrations; what `migrations/env.py` consists of."""
    url = url or os.environ.get("PGQUEUE_URL")
    schema = schema or os.environ.get("PGQUEUE_SCHEMA") or "pgqueue"
    in_schema("", schema)  # its name is checked before it stands in a statement
    context.config.attributes["schema"] = schema
    options = {"version_table": VERSION_TABLE, "version_table_schema": schema}
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", literal_binds=True, **options)
        with context.begin_transaction():
            context.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            context.run_migrations()
        return
    if not url:
        raise PgqueueError(
            "no database: set PGQUEUE_URL, or give alembic -x url=postgresql:///shop"
        )
    with connected(url) as bind:
        _take_turn(bind, schema)
        _run(bind, f"CREATE SCHEMA IF NOT EXISTS {schema}")
        context.configure(connection=bind, **options)
        context.run_migrations()
        if current(bind, schema=schema) is None:
            _leave_nothing(bind, schema)


def step(context: Any, *, to: str) -> None:
    """Go up or down to version *to*; what each of Alembic's revisions consists of."""
    schema = context.config.attributes["schema"]
    if context.is_offline_mode():
        file = next(file for file in schema_files("postgres") if file.version == to)
        context.get_context().impl.static_output(in_schema(file.up, schema))
    elif to == "base" or to < (current(context.get_bind(), schema=schema) or ""):
        downgrade(context.get_bind(), to=to, schema=schema)
    else:
        upgrade(context.get_bind(), to=to, schema=schema)


def _current(url: str, schema: str) -> str | None:
    with connected(url) as bind:
        return current(bind, schema)


def _version(to: str) -> str:
    known = [file.version for file in schema_files("postgres")]
    if to == "head":
        return known[-1]
    if to not in known:
        raise PgqueueError(f"no schema version {to}; there are {', '.join(known)}, base and head")
    return to


def _take_turn(bind: Connection, schema: str) -> None:
    """Waits for other migrators; the lock ends with the transaction."""
    bind.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext(%s), 0)", (f"{schema} migration",))


def _leave_nothing(bind: Connection, schema: str) -> None:
    """After a downgrade to nothing: Alembic's table and the schema, if nothing else lives there."""
    _run(bind, f"DROP TABLE IF EXISTS {schema}.{VERSION_TABLE}")
    left = bind.exec_driver_sql(
        "SELECT count(*) FROM pg_class AS c WHERE c.relnamespace = %s::regnamespace", (schema,)
    ).scalar()
    if not left:
        _run(bind, f"DROP SCHEMA {schema}")


def _run(bind: Connection, sql: str) -> Any:
    """Runs *sql* as it stands: several statements, and signs that are placeholders elsewhere."""
    return bind.execution_options(no_parameters=True).exec_driver_sql(sql)


def _scripts() -> Path:
    """The folder of Alembic's revisions: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    inside = package / "_migrations"
    return inside if inside.is_dir() else package.parent / "migrations"
