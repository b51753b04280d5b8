"""How Alembic reaches the queue's schema: ``PGQUEUE_URL`` and ``PGQUEUE_SCHEMA``, or ``-x url=… -x
schema=…``."""

from __future__ import annotations

from alembic import context

from pgqueue import migrations

arguments = context.get_x_argument(as_dictionary=True)
migrations.run(
    context,
    url=arguments.get("url") or context.config.attributes.get("url"),
    schema=arguments.get("schema") or context.config.attributes.get("schema"),
)
