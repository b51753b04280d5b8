"""Until when a unique key holds, and what happens to the next job that has it."""

from __future__ import annotations

from sqlalchemy import Connection

from pgqueue import migrations

revision = "0010"
down_revision: str | None = "0009"


def upgrade(bind: Connection | None, schema: str) -> None:
    migrations.upgrade(bind, start=down_revision or "base", to=revision, schema=schema)


def downgrade(bind: Connection | None, schema: str) -> None:
    migrations.downgrade(bind, start=revision, to=down_revision or "base", schema=schema)
