"""Migrated databases for the tests of a process: made once, emptied after each test.

To make and drop one costs several times what most tests cost. One is used again only if nothing
was done to it but writing a few rows, and nobody has stayed: whoever changed the schema, a setting
or the statistics, wrote much or is still connected, gets it thrown away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection, sql
from sqlalchemy import make_url

from pgqueue import statements

Rows = list[tuple[Any, ...]]
_numbers = count(1)

# What a catalog row's *xmin* is: a copy has its template's until somebody changes the row.
STATE = """
WITH ours AS MATERIALIZED (
    SELECT oid, xmin, reltuples, relkind FROM pg_class WHERE oid >= 16384
)
SELECT sum(xmin::text::bigint), count(*), sum(reltuples),
       (SELECT sum(pg_relation_size(oid)) < 2000000 FROM ours WHERE relkind IN ('r', 'i', 't')),
       (SELECT sum(xmin::text::bigint) FROM pg_attribute WHERE attrelid >= 16384),
       (SELECT sum(xmin::text::bigint) FROM pg_attrdef),
       (SELECT sum(xmin::text::bigint) FROM pg_index WHERE indexrelid >= 16384),
       (SELECT sum(xmin::text::bigint) FROM pg_proc WHERE oid >= 16384),
       (SELECT sum(xmin::text::bigint) FROM pg_constraint WHERE oid >= 16384),
       (SELECT sum(xmin::text::bigint) FROM pg_sequence),
       (SELECT sum(xmin::text::bigint) FROM pg_namespace),
       (SELECT sum(xmin::text::bigint) FROM pg_extension),
       (SELECT count(*) FROM pg_trigger),
       (SELECT count(*) FROM pg_policy),
       (SELECT count(*) FROM pg_default_acl),
       (SELECT count(*) FROM pg_statistic WHERE starelid >= 16384),
       (SELECT sum(xmin::text::bigint) FROM pgqueue.migration),
       (SELECT datacl FROM pg_database WHERE datname = current_database()),
       (SELECT count(*) FROM pg_db_role_setting AS s
        JOIN pg_database AS d ON d.oid = s.setdatabase WHERE d.datname = current_database()),
       (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())
FROM ours
"""
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
DAYS = """
SELECT relname FROM pg_class
WHERE relnamespace = 'pgqueue'::regnamespace AND relkind = 'r' AND relispartition
"""
TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'pgqueue'::regnamespace AND relkind = 'r' AND relname <> 'migration'
"""
SEQUENCES = """
SELECT relname FROM pg_class WHERE relnamespace = 'pgqueue'::regnamespace AND relkind = 'S'
"""


class Template(NamedTuple):
    """A migrated database: its name, its state, and the statement that empties a copy."""

    name: str
    days: set[str]
    state: Rows
    empty: sql.Composed


def migrate(url: str) -> None:
    """Make the schema by its files alone, in no time: `pgqueue migrate` looks at more."""
    with psycopg.connect(url) as connection:
        for file in statements.schema_files("postgres"):
            connection.execute(file.up.encode())


class Databases:
    """The databases of one test process on a server, the URL of whose own database is *server*."""

    def __init__(self, server: str) -> None:
        self.server = server
        self._admin = psycopg.connect(server, autocommit=True)
        self._template: Template | None = None
        self._clean: list[str] = []

    def close(self) -> None:
        template = [self._template.name] if self._template else []
        for name in (*self._clean, *template):
            self._drop(name)
        self._admin.close()

    @property
    def template(self) -> Template:
        """Made when it is first asked for."""
        if self._template is None:
            name = self._make("template1", "template")
            migrate(self.url(name))
            with psycopg.connect(self.url(name)) as connection:
                self._template = Template(
                    name, _days(connection), _state(connection), _emptying(connection)
                )
        return self._template

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """The URL of a database that is as if it had just been migrated."""
        name = self._clean.pop() if self._clean else self._make(self.template.name)
        try:
            yield self.url(name)
        finally:
            if self._emptied(name):
                self._clean.append(name)
            else:
                self._drop(name)

    @contextmanager
    def fresh(self, template: str = "template1") -> Iterator[str]:
        """The URL of a new database, a copy of *template*."""
        name = self._make(template)
        try:
            yield self.url(name)
        finally:
            self._drop(name)

    def url(self, name: str) -> str:
        return make_url(self.server).set(database=name).render_as_string(hide_password=False)

    def _make(self, template: str, kind: str = "test") -> str:
        name = f"pgqueue_{kind}_{os.getpid()}_{next(_numbers)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return name

    def _drop(self, name: str) -> None:
        self._admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

    def _emptied(self, name: str) -> bool:
        """Empty it, if it is as good as new then."""
        try:
            with psycopg.connect(
                self.url(name), autocommit=True, client_encoding="UTF8"
            ) as connection:
                if connection.execute(OTHERS).fetchone() != (0,):
                    return False
                self._drop_new_days(connection)
                if _state(connection) != self.template.state:
                    return False
                connection.execute(self.template.empty)
                return True
        except psycopg.Error:
            return False

    def _drop_new_days(self, connection: Connection[Any]) -> None:
        """Without the partitions that a leader makes, the schema is what it was."""
        if new := _days(connection) - self.template.days:
            tables = sql.SQL(", ").join(sql.Identifier("pgqueue", name) for name in sorted(new))
            connection.execute(sql.SQL("DROP TABLE {}").format(tables))


def _days(connection: Connection[Any]) -> set[str]:
    return {name for (name,) in connection.execute(DAYS)}


def _state(connection: Connection[Any]) -> Rows:
    return connection.execute(STATE).fetchall()


def _emptying(connection: Connection[Any]) -> sql.Composed:
    tables = [sql.Identifier("pgqueue", name) for (name,) in connection.execute(TABLES)]
    parts = [sql.SQL("DELETE FROM {}").format(table) for table in tables]
    for (name,) in connection.execute(SEQUENCES).fetchall():
        sequence = sql.Identifier("pgqueue", name)
        [at] = connection.execute(sql.SQL("SELECT last_value, is_called FROM {}").format(sequence))
        parts.append(sql.SQL("SELECT setval({}, {}, {})").format(f"pgqueue.{name}", *at))
    parts = [sql.SQL("SET lock_timeout = '2s'"), *parts, sql.SQL("SELECT pg_stat_reset()")]
    return sql.SQL("; ").join(parts)
