"""${message}."""

from __future__ import annotations

from sqlalchemy import Connection

from pgqueue import migrations

revision = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}


def upgrade(bind: Connection | None, schema: str) -> None:
    migrations.upgrade(bind, start=down_revision or "base", to=revision, schema=schema)


def downgrade(bind: Connection | None, schema: str) -> None:
    migrations.downgrade(bind, start=revision, to=down_revision or "base", schema=schema)
