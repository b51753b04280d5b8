"""${message}"""

from __future__ import annotations

from alembic import context

from pgqueue import migrations

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    migrations.step(context, to=revision)


def downgrade() -> None:
    migrations.step(context, to=down_revision or "base")
