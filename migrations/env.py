"""How Alembic reaches the queue's schema, from a checkout and for `pgqueue migrate`.

The database is PGQUEUE_URL or `-x url=…`, the schema PGQUEUE_SCHEMA or `-x schema=…`. Everything
happens in one transaction; at its end Alembic's version table agrees with the queue's own, which
decides.
"""

from __future__ import annotations

import os
from typing import Any

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.schema import CreateSchema

from pgqueue import migrations
from pgqueue.migrations.dialects import dialect_of
from pgqueue.statements.files import in_schema

arguments = context.get_x_argument(as_dictionary=True)
attributes: dict[str, Any] = context.config.attributes
schema: str = (
    attributes.get("schema")
    or arguments.get("schema")
    or os.environ.get("PGQUEUE_SCHEMA")
    or "pgqueue"
)
in_schema("", schema)  # raises unless it is a plain name: it becomes a part of statements


def online(bind: Connection) -> None:
    database = migrations.dialect(bind)
    database.take_turn(bind, schema)
    database.create_schema(bind, schema)
    context.configure(connection=bind, **database.version_table(schema))
    alembic = context.get_context()
    known = migrations.known(bind, schema)
    if (alembic.get_current_revision() or migrations.BASE) != known:
        alembic.stamp(context.script, known)
    context.run_migrations(bind=bind, schema=schema)
    if migrations.current(bind, schema) is None:
        migrations.leave(bind, schema)


def offline() -> None:
    name = "sqlite" if (url or "").startswith("sqlite") else "postgresql"
    options = dialect_of(name).version_table(schema)
    context.configure(dialect_name=name, literal_binds=True, **options)
    with context.begin_transaction():
        if name == "postgresql":
            context.execute(CreateSchema(schema, if_not_exists=True))
        context.run_migrations(bind=None, schema=schema)


url = arguments.get("url") or os.environ.get("PGQUEUE_URL")
if context.is_offline_mode():
    offline()
elif connection := attributes.get("connection"):
    online(connection)
elif url:
    with migrations.connected(url) as bind:
        online(bind)
else:
    raise CommandError("no database: set PGQUEUE_URL, or give alembic -x url=postgresql:///shop")
