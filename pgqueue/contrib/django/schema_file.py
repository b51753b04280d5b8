"""A migration operation that applies one of pgqueue's numbered schema files."""

from __future__ import annotations

from typing import Any, Final

from django.db import router
from django.db.migrations.operations.base import Operation

from pgqueue.contrib.django.configured import schema_of
from pgqueue.contrib.django.database import STORES
from pgqueue.statements.files import in_schema, load, schema_files
from pgqueue.statements.sql import split


class SchemaFile(Operation):
    """Applies the schema file *name*, as ``0001_jobs``, unless the database has it already.

    So a queue that `pgqueue migrate` or Alembic has made is taken over as it is.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, name: str) -> None:
        self.name: Final = name

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing: the tables are no models."""

    def database_forwards(self, app_label: str, schema_editor: Any, *_: Any) -> None:
        if self._is_elsewhere(app_label, schema_editor.connection):
            return
        version = self.name.partition("_")[0]
        if not schema_editor.collect_sql and (_known(schema_editor) or "") >= version:
            return
        self._run(schema_editor, "up")

    def database_backwards(self, app_label: str, schema_editor: Any, *_: Any) -> None:
        if self._is_elsewhere(app_label, schema_editor.connection):
            return
        version = self.name.partition("_")[0]
        if not schema_editor.collect_sql and (_known(schema_editor) or "") < version:
            return
        self._run(schema_editor, "down")

    def describe(self) -> str:
        return f"Schema file {self.name} of pgqueue"

    @property
    def migration_name_fragment(self) -> str:
        return self.name

    def _is_elsewhere(self, app_label: str, connection: Any) -> bool:
        """Is the queue not meant to be in this database?"""
        return connection.vendor not in STORES or not router.allow_migrate(
            connection.alias, app_label
        )

    def _run(self, schema_editor: Any, way: str) -> None:
        connection = schema_editor.connection
        files = {file.name: file for file in schema_files(STORES[connection.vendor])}
        text: str = getattr(files[self.name], way)
        for step in split(in_schema(text, schema_of(connection.alias)), "named"):
            schema_editor.execute(step.sql, params=None)


def _known(schema_editor: Any) -> str | None:
    """Return the version of the queue in the database, when no other migrator is at work on it."""
    connection = schema_editor.connection
    statements = load(STORES[connection.vendor], schema_of(connection.alias), "pyformat")
    with connection.cursor() as cursor:
        for step in statements["django/turn"].steps:
            cursor.execute(step.sql, {})
        if not cursor.fetchall()[0][0]:
            return None
        cursor.execute(statements["version"].steps[0].sql, {})
        version: str | None = cursor.fetchall()[0][0]
        return version
