"""A worker leaves a copy of its store alone, until somebody says that it may run there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url

from pgqueue import App, State
from pgqueue.errors import NotAtHome
from pgqueue.jobs.job import NewJob
from pgqueue.operations import inspections
from pgqueue.worker import Options, Worker
from tests.cli.terminal import Terminal, eventually
from tests.postgres.roles import a_role, as_role
from tests.valkey import Valkey

CONNECTED = b"SELECT count(*) FROM pg_stat_activity WHERE datname = %s"


async def drain(url: str, *, schema: str = "pgqueue", environment: str | None = None) -> None:
    """A worker that runs what it can."""
    app = App(url, schema=schema, environment=environment)

    @app.task
    async def ring() -> None: ...

    try:
        await Worker(app, Options(drain=True)).run()
    finally:
        app.close()


def add(url: str, *, schema: str = "pgqueue") -> int:
    app = App(url, schema=schema)
    handle = app.enqueue(NewJob("ring"))
    app.close()
    return handle.id


def state(url: str, job: int, *, schema: str = "pgqueue") -> State:
    app = App(url, schema=schema)
    found = app.execute(inspections.get([job]))[job]
    app.close()
    return found.state


@contextmanager
def a_clone(url: str) -> Iterator[str]:
    """Another database on the same server, with all that *url* has."""
    original = conninfo_to_dict(url)["dbname"]
    clone = f"{original}_clone"
    server = make_url(url)
    admin_url = server.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        eventually(lambda: admin.execute(CONNECTED, [original]).fetchone() == (0,))
        admin.execute(f"CREATE DATABASE {clone} TEMPLATE {original}".encode())
        try:
            yield server.set(database=clone).render_as_string(hide_password=False)
        finally:
            admin.execute(f"DROP DATABASE {clone} WITH (FORCE)".encode())


async def test_a_cloned_database_is_left_alone_until_it_is_adopted(postgres_url: str) -> None:
    await drain(postgres_url, environment="production")
    job = add(postgres_url)
    with a_clone(postgres_url) as clone:
        with pytest.raises(NotAtHome, match=r"this queue is a copy.*the database .*pgqueue adopt"):
            await drain(clone, environment="production")
        assert state(clone, job) == State.AVAILABLE

        said = Terminal(clone).ok("adopt", "--paused", "--environment", "staging")
        assert said == (
            "default paused\nthis queue is at home here, of the environment staging; workers may"
            " run it\n"
        )
        await drain(clone, environment="staging")
        assert state(clone, job) == State.AVAILABLE

        Terminal(clone).ok("queues", "resume", "--all")
        await drain(clone, environment="staging")
        assert state(clone, job) == State.COMPLETED
    await drain(postgres_url, environment="production")
    assert state(postgres_url, job) == State.COMPLETED


async def test_a_database_on_another_server_is_a_copy(postgres_url: str) -> None:
    """As a dump that was restored there: its system identifier is another one."""
    await drain(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "UPDATE pgqueue.home SET place = place || jsonb_build_object('system', '7')"
        )

    with pytest.raises(NotAtHome, match="system identifier 7"):
        await drain(postgres_url)


async def test_a_role_that_may_not_ask_for_the_server_goes_by_the_name_of_the_database(
    postgres_url: str,
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        with a_role(postgres_url, "worker") as role:
            await drain(as_role(postgres_url, role))
            noted = owner.execute("SELECT place FROM pgqueue.home").fetchone()
            await drain(postgres_url)
            completed = owner.execute("SELECT place FROM pgqueue.home").fetchone()
            await drain(as_role(postgres_url, role))

    assert noted is not None
    assert completed is not None
    assert noted[0].keys() == {"database"}
    assert completed[0].keys() == {"database", "system"}


async def test_another_environment_is_left_alone(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await drain(postgres_url)
    await drain(postgres_url, environment="production")

    with pytest.raises(NotAtHome, match="environment production, this worker is of staging"):
        await drain(postgres_url, environment="staging")
    with pytest.raises(NotAtHome, match=r"this worker names none .*PGQUEUE_ENVIRONMENT"):
        await drain(postgres_url)
    monkeypatch.setenv("PGQUEUE_ENVIRONMENT", "production")
    await drain(postgres_url)


async def test_a_file_that_was_copied_is_left_alone_with_its_folder_or_without(
    tmp_path: Path,
) -> None:
    for name in ("original", "alone", "together"):
        (tmp_path / name).mkdir()
    original = f"sqlite:///{tmp_path}/original/jobs.db"
    await drain(original)
    job = add(original)
    shutil.copy(tmp_path / "original/jobs.db", tmp_path / "alone/jobs.db")
    shutil.copytree(tmp_path / "original", tmp_path / "together", dirs_exist_ok=True)

    for name in ("alone", "together"):
        copy = f"sqlite:///{tmp_path}/{name}/jobs.db"
        with pytest.raises(NotAtHome, match="this queue is a copy"):
            await drain(copy)
        assert state(copy, job) == State.AVAILABLE
        Terminal(copy).ok("adopt")
        await drain(copy)
        assert state(copy, job) == State.COMPLETED


async def test_a_backup_put_back_and_a_folder_that_was_moved_are_at_home(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    await drain(f"sqlite:///{before}/jobs.db")
    job = add(f"sqlite:///{before}/jobs.db")
    shutil.copy(before / "jobs.db", tmp_path / "backup.db")

    (tmp_path / "backup.db").replace(before / "jobs.db")
    await drain(f"sqlite:///{before}/jobs.db")
    before.rename(after)
    await drain(f"sqlite:///{after}/jobs.db")

    assert state(f"sqlite:///{after}/jobs.db", job) == State.COMPLETED


async def test_a_redis_goes_by_its_environment(valkey_server: Valkey, namespace: str) -> None:
    job = add(valkey_server.url, schema=namespace)
    await drain(valkey_server.url, schema=namespace, environment="production")

    with pytest.raises(NotAtHome, match="production"):
        await drain(valkey_server.url, schema=namespace, environment="staging")
    Terminal(valkey_server.url).ok("adopt", "--schema", namespace, "--environment", "staging")
    await drain(valkey_server.url, schema=namespace, environment="staging")
    assert state(valkey_server.url, job, schema=namespace) == State.COMPLETED
