"""A revision of an application's own, in the env.py that Alembic writes for asyncpg."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from pgqueue import migrations
from tests.postgres.test_migrations import catalog, schemas

ENV = """
import asyncio
import os

from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine


def do_run_migrations(connection):
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()


async def run():
    engine = create_async_engine(os.environ["SHOP_URL"], poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(do_run_migrations)
    await engine.dispose()


asyncio.run(run())
"""
REVISION = """
import sqlalchemy as sa
from alembic import op

import pgqueue.migrations

revision, down_revision = "a1", None


def upgrade():
    op.create_table("orders", sa.Column("id", sa.BigInteger, primary_key=True))
    pgqueue.migrations.upgrade(op.get_bind(), to="0013")


def downgrade():
    pgqueue.migrations.downgrade(op.get_bind())
    op.drop_table("orders")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/revisions\n")
    (tmp_path / "revisions" / "versions").mkdir(parents=True)
    (tmp_path / "revisions" / "env.py").write_text(ENV)
    (tmp_path / "revisions" / "versions" / "a1_orders.py").write_text(REVISION)
    return tmp_path


def alembic(shop: Path, url: str, *words: str) -> None:
    address = make_url(url).set(drivername="postgresql+asyncpg")
    ended = subprocess.run(
        [sys.executable, "-m", "alembic", *words],
        cwd=shop,
        env={"SHOP_URL": address.render_as_string(hide_password=False)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr


def test_it_leads_to_the_same_schema_and_back(
    empty_url: str, postgres_url: str, shop: Path
) -> None:
    alembic(shop, empty_url, "upgrade", "head")
    assert migrations.check(empty_url) == "0013"
    assert catalog(empty_url) == catalog(postgres_url)
    with psycopg.connect(empty_url) as connection:
        connection.execute("SELECT pgqueue.enqueue('send')")

    alembic(shop, empty_url, "downgrade", "base")
    assert schemas(empty_url) == set()
    alembic(shop, empty_url, "upgrade", "head")


def test_one_that_goes_up_by_steps(empty_url: str, postgres_url: str, shop: Path) -> None:
    migrations.migrate(empty_url, to="0002")
    alembic(shop, empty_url, "upgrade", "head")

    assert catalog(empty_url) == catalog(postgres_url)
