"""A PostgreSQL URL: one reading of it, several hosts, and a primary that becomes a standby."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from itertools import count
from time import monotonic
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pgqueue import App, embedded, migrations
from pgqueue.addresses import settings
from pgqueue.backends.postgres import pools
from pgqueue.errors import InvalidUrl, StoreUnavailable
from pgqueue.jobs.job import NewJob
from pgqueue.operations import inspections
from pgqueue.worker import Options, Worker

NOWHERE = "127.0.0.1:1"
FEW = {"max_connections": "15"}


@pytest.fixture(scope="module")
def servers() -> Iterator[list[embedded.Server]]:
    """Two that know nothing of each other: only which of them takes writes matters here."""
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(
                embedded.start(ephemeral=True, tcp=True, options={"max_connections": "15"})
            )
            for _ in range(2)
        ]
        secret = str(conninfo_to_dict(made[0].tcp_url).get("password"))
        for server in made:
            migrations.migrate(server.url)
            with psycopg.connect(server.url) as admin:
                admin.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(secret))
        yield made


@pytest.fixture
def two_hosts(servers: list[embedded.Server]) -> Iterator[str]:
    parts = [conninfo_to_dict(server.tcp_url) for server in servers]
    where = ",".join(f"{part['host']}:{part['port']}" for part in parts)
    who = f"{quote(str(parts[0]['user']))}:{quote(str(parts[0].get('password') or ''))}"
    yield f"postgresql://{who}@{where}/{parts[0]['dbname']}"
    for server in servers:
        _takes_writes(server, True)


def _takes_writes(server: embedded.Server, takes: bool) -> None:
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {not takes}".encode())
        admin.execute("SELECT pg_reload_conf()")
    while True:
        with psycopg.connect(server.url) as admin:
            row = admin.execute("SHOW default_transaction_read_only").fetchone()
            if row == ("off" if takes else "on",):
                return


def _count(server: embedded.Server) -> int:
    with psycopg.connect(server.url) as admin:
        row = admin.execute("SELECT count(*) FROM pgqueue.job").fetchone()
        assert row
        return int(row[0])


def test_an_application_goes_on_where_writes_are_taken(
    two_hosts: str, servers: list[embedded.Server]
) -> None:
    """Its pool is full of connections to the one that takes none any more."""
    first, second = servers
    app = App(two_hosts)
    meet = threading.Barrier(5)

    def hold() -> None:
        with app.backend.transaction():
            meet.wait()

    threads = [threading.Thread(target=hold) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = _count(second)
    _takes_writes(first, False)

    since = monotonic()
    for _ in range(10):
        app.enqueue(NewJob("task"))
    assert monotonic() - since < 10
    assert _count(second) == before + 10
    app.close()


async def test_an_asyncio_application_too(two_hosts: str, servers: list[embedded.Server]) -> None:
    first, second = servers
    app = App(two_hosts)
    await app.enqueue_async(NewJob("task"))
    before = _count(second)
    _takes_writes(first, False)

    for _ in range(10):
        await app.enqueue_async(NewJob("task"))
    assert _count(second) == before + 10
    await app.close_async()
    app.close()


def test_migrate_reads_several_hosts_as_an_application_does(
    two_hosts: str, servers: list[embedded.Server]
) -> None:
    _takes_writes(servers[0], False)
    assert migrations.check(two_hosts) == migrations.head()
    migrations.migrate(two_hosts)
    app = App(two_hosts)
    assert app.execute(inspections.version()) == migrations.head()
    app.close()


def test_migrate_reads_a_socket_as_an_application_does(postgres_url: str) -> None:
    parts = conninfo_to_dict(postgres_url)
    folder = quote(str(parts["host"]), safe="")
    assert "%2F" in folder
    url = f"postgresql://{parts['user']}@{folder}:{parts['port']}/{parts['dbname']}"
    assert migrations.check(url) == migrations.head()
    app = App(url)
    assert app.execute(inspections.version()) == migrations.head()
    app.close()


def test_an_unknown_parameter_is_named() -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing?sslmod=require"
    with pytest.raises(InvalidUrl, match="sslmod"):
        App(url).execute(inspections.version())
    with pytest.raises(InvalidUrl, match="sslmod"):
        migrations.check(url)


def test_a_part_of_a_password_is_not_taken_for_one() -> None:
    with pytest.raises(InvalidUrl) as raised:
        App("postgresql://nobody:a@b?cret=1@127.0.0.1:1/nothing").execute(inspections.version())
    assert "cret" not in str(raised.value)


def test_a_database_that_is_away_is_waited_for_a_few_seconds() -> None:
    app = App(f"postgresql://nobody@{NOWHERE}/nothing")
    since = monotonic()
    with pytest.raises(StoreUnavailable, match=r"cannot be reached.*refused"):
        app.enqueue(NewJob("task"))
    assert monotonic() - since < 2 * pools.AWAY_SECONDS + 2
    app.close()


async def test_too_many_clients_is_what_it_says(
    servers: list[embedded.Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not that all connections of the pool are in use: none was made."""
    monkeypatch.setattr(pools, "AWAY_SECONDS", 1.0)
    app = App(servers[0].url)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                stack.enter_context(psycopg.connect(servers[0].url))
        with pytest.raises(StoreUnavailable, match=r"too many clients|connection slots"):
            app.enqueue(NewJob("task"))
        with pytest.raises(StoreUnavailable, match=r"too many clients|connection slots"):
            await app.enqueue_async(NewJob("task"))
    app.close()
    await app.close_async()


def test_what_the_url_says_of_a_connection_holds() -> None:
    said = settings("postgresql:///shop?connect_timeout=1&target_session_attrs=any")
    assert "connect_timeout" not in said
    assert "target_session_attrs" not in said
    assert settings("postgresql:///shop")["connect_timeout"] == 5


async def test_a_function_is_asked_at_every_connect(postgres_url: str) -> None:
    asked = count(1)
    app = App(lambda: f"{postgres_url}&application_name=asked-{next(asked)}")

    def connected() -> set[str]:
        with psycopg.connect(postgres_url) as outside:
            rows = outside.execute(
                "SELECT application_name, pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name LIKE 'asked-%' AND datname = current_database()"
            ).fetchall()
        return {name for name, _ in rows}

    app.enqueue(NewJob("a", "{}"))
    first = connected()
    with contextlib.suppress(StoreUnavailable):
        app.enqueue(NewJob("a", "{}"))
    app.enqueue(NewJob("a", "{}"))
    second = connected()
    assert first
    assert second
    assert not first & second
    await app.execute_async(inspections.queues())
    worker = Worker(app, Options(queues="other"))
    running = asyncio.create_task(worker.run())
    await worker.started.wait()
    assert len(connected()) >= 4
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await app.close_async()
    app.close()
