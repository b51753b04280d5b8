"""The same schema by every way in, and by none in a file that is somebody else's."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine

from pgqueue import migrations
from pgqueue.app import App
from pgqueue.backends.sqlite import SqliteBackend
from pgqueue.errors import PgqueueError, SchemaMissing, SchemaOutOfDate
from pgqueue.operations import inspections
from pgqueue.statements.files import schema_files
from pgqueue.testing.conformance import Store, a_job
from tests.cli.terminal import Terminal

CHECKOUT = Path(__file__).parents[2]


def path_of(url: str) -> str:
    return url.removeprefix("sqlite:///")


def run(url: str, *statements: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path_of(url), isolation_level=None)) as connection:
        return [row for sql in statements for row in connection.execute(sql).fetchall()]


def catalog(url: str) -> set[tuple[object, ...]]:
    """All there is, but for Alembic's own table."""
    rows = run(url, "SELECT type, name, sql FROM sqlite_master")
    return {row for row in rows if "alembic" not in str(row[1])}


def by_migrate(url: str) -> None:
    migrations.migrate(url)


def by_alembic(url: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=CHECKOUT,
        env={**os.environ, "PGQUEUE_URL": url},
        check=True,
        capture_output=True,
    )


def by_a_revision_of_the_applications(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as bind, Operations.context(MigrationContext.configure(bind)) as op:
        migrations.upgrade(op.get_bind(), to=migrations.head("sqlite"))
    engine.dispose()


def by_hand(url: str) -> None:
    with closing(sqlite3.connect(path_of(url))) as connection:
        for file in schema_files("sqlite"):
            connection.executescript(f"BEGIN; {file.up} COMMIT;")


def by_itself(url: str) -> None:
    SqliteBackend(url).execute(inspections.version())


EVERY_WAY = [by_migrate, by_alembic, by_a_revision_of_the_applications, by_hand, by_itself]
every_way = pytest.mark.parametrize("way", EVERY_WAY)


@every_way
def test_every_way_leads_to_the_same_schema(
    url: str, tmp_path: Path, way: Callable[[str], None]
) -> None:
    reference = f"sqlite:///{tmp_path}/reference.db"
    by_hand(reference)
    way(url)

    assert catalog(url) == catalog(reference)
    assert migrations.check(url) == migrations.head("sqlite")


@every_way
def test_whichever_way_came_first_the_others_find_nothing_to_do(
    url: str, way: Callable[[str], None]
) -> None:
    way(url)
    store = Store(SqliteBackend(url))
    id = store.add()
    before = catalog(url)
    for other in (by_migrate, by_alembic, by_a_revision_of_the_applications, by_itself):
        other(url)

    assert catalog(url) == before
    assert store.take().id == id


def test_a_file_of_the_applications_own_is_left_alone(url: str) -> None:
    run(url, "CREATE TABLE purchase (id INTEGER)")
    backend = SqliteBackend(url)
    with pytest.raises(SchemaMissing, match="pgqueue migrate"):
        Store(backend)
    assert {name for _, name, _ in catalog(url)} == {"purchase"}

    migrations.migrate(url)

    assert Store(SqliteBackend(url)).add()
    assert ("table", "purchase", "CREATE TABLE purchase (id INTEGER)") in catalog(url)


def test_looking_makes_no_file(url: str) -> None:
    for command in (("status",), ("jobs", "list")):
        result = Terminal(url)(*command)
        assert result.code == 1
        assert "pgqueue migrate" in result.err
    assert not Path(path_of(url)).exists()


def test_a_transaction_that_is_rolled_back_migrates_nothing(url: str) -> None:
    engine = create_engine(url)
    with pytest.raises(ZeroDivisionError), engine.begin() as bind:
        migrations.upgrade(bind)
        raise ZeroDivisionError
    engine.dispose()

    assert catalog(url) == set()


def test_the_way_back_leaves_nothing(url: str) -> None:
    run(url, "CREATE TABLE purchase (id INTEGER)")
    migrations.migrate(url)
    migrations.migrate(url, to="base")

    assert {name for _, name, _ in catalog(url)} == {"purchase"}


def test_another_prefix_is_another_queue(url: str) -> None:
    one = Store(SqliteBackend(url))
    migrations.migrate(url, schema="other")
    other = Store(SqliteBackend(url, schema="other"))
    one.add(a_job("one"))
    parent = a_job("parent")
    other.enqueue(parent, a_job("child").after(parent))

    assert one.work() == ["one"]
    assert other.work() == ["parent", "child"]
    other.check()
    migrations.migrate(url, to="base", schema="other")
    assert all("other" not in str(name) for _, name, _ in catalog(url))


def test_many_who_come_first_make_the_tables_once(url: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        stores = list(threads.map(lambda _: Store(SqliteBackend(url)), range(8)))

    assert len({store.worker for store in stores}) == 8
    versions = [(file.version,) for file in schema_files("sqlite")]
    assert run(url, "SELECT version FROM pgqueue_migration ORDER BY 1") == versions


def test_a_schema_that_is_missing_or_old_is_named(url: str) -> None:
    with pytest.raises(SchemaMissing, match="pgqueue migrate"):
        migrations.check(url)
    migrations.migrate(url)
    run(url, "DROP VIEW pgqueue_live_document", "DROP VIEW pgqueue_live", "DROP VIEW pgqueue_jobs")
    run(url, "ALTER TABLE pgqueue_job RENAME COLUMN position TO place")
    with pytest.raises(SchemaOutOfDate, match="pgqueue migrate"):
        Store(SqliteBackend(url)).add()


def test_an_unknown_version_is_an_error(url: str) -> None:
    with pytest.raises(PgqueueError, match="no schema version 0999x"):
        migrations.migrate(url, to="0999x")
    with pytest.raises(PgqueueError, match="only PostgreSQL and SQLite"):
        migrations.migrate("redis://localhost")


def test_the_command_line_migrates(url: str) -> None:
    terminal = Terminal(url)
    assert terminal("migrate", "--check").code == 1
    assert migrations.head("sqlite") in terminal("migrate").out
    assert terminal("migrate", "--check").code == 0
    assert "CREATE TABLE pgqueue_job" in terminal("migrate", "--sql").out


def test_an_app_without_a_url_keeps_its_jobs_in_a_file_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PGQUEUE_URL", raising=False)
    app = App()
    app.enqueue(a_job("task"))
    monkeypatch.chdir("/")
    app.enqueue(a_job("task"))

    assert (tmp_path / "pgqueue.db").exists()
    assert len(app.execute(inspections.list_jobs())) == 2
    monkeypatch.setenv("PGQUEUE_URL", "postgresql:///shop")
    assert App().url == "postgresql:///shop"
    app.close()
