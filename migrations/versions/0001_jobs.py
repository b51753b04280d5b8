"""Everything the queue needs, in one schema of its own."""

from __future__ import annotations

from sqlalchemy import Connection

from pgqueue import migrations

revision = "0001"
down_revision: str | None = None


def upgrade(bind: Connection | None, schema: str) -> None:
    migrations.upgrade(bind, start=down_revision or "base", to=revision, schema=schema)


def downgrade(bind: Connection | None, schema: str) -> None:
    migrations.downgrade(bind, start=revision, to=down_revision or "base", schema=schema)
