"""Everything the queue needs, in one schema of its own."""

from __future__ import annotations

from alembic import context

from pgqueue import migrations

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    migrations.step(context, to=revision)


def downgrade() -> None:
    migrations.step(context, to="base")
