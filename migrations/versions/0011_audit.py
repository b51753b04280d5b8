"""Who acts adds to the audit and cannot change it; what is old there goes."""

from __future__ import annotations

from sqlalchemy import Connection

from pgqueue import migrations

revision = "0011"
down_revision: str | None = "0010"


def upgrade(bind: Connection | None, schema: str) -> None:
    migrations.upgrade(bind, start=down_revision or "base", to=revision, schema=schema)


def downgrade(bind: Connection | None, schema: str) -> None:
    migrations.downgrade(bind, start=revision, to=down_revision or "base", schema=schema)
