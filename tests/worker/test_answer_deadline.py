"""Connections that have gone silent, and nobody is told: a firewall has forgotten them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from pgqueue import App, embedded
from pgqueue.backends.postgres import answer_deadline
from pgqueue.backends.postgres import stall_watch as postgres_watch
from pgqueue.backends.postgres.worker_connection import PostgresWorkerConnection
from pgqueue.jobs.job import State
from pgqueue.worker import Options, Worker
from pgqueue.worker.agents import unheard
from tests.databases import migrate
from tests.faults.proxy import Gate, Network
from tests.postgres.roles import a_role, as_role
from tests.worker import shop as tasks
from tests.worker.conftest import Start
from tests.worker.process import Shop, eventually
from tests.worker.store import Store, becomes, ended


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Server]:
    with embedded.start(ephemeral=True, tcp=True) as server:
        migrate(server.url)
        yield server


@pytest.fixture
def postgres_url(server: embedded.Server) -> str:
    return server.url


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


@pytest.fixture
def gate(network: Network, server: embedded.Server) -> Gate:
    return network.gate(int(psycopg.conninfo.conninfo_to_dict(server.tcp_url)["port"]))


def through(gate: Gate, server: embedded.Server) -> str:
    url = make_url(server.tcp_url).set(port=gate.port)
    return url.render_as_string(hide_password=False)


def test_connects_anew_when_its_connections_are_silent(
    gate: Gate, server: embedded.Server, start: Start, store: Store, shop: Shop
) -> None:
    worker = start(through(gate, server), heartbeat_interval=1).started()
    [held] = store.enqueue(tasks.pack.job())
    eventually(lambda: shop.marks("start"))

    gate.forget()
    [later] = store.enqueue(tasks.ring.job())

    eventually(lambda: store.all_finished([later]), within=40)
    shop.open()
    eventually(lambda: store.all_finished([held]), within=40)
    assert store.job(held).rescues == 0
    assert len(shop.marks("start")) == 2
    worker.send(signal.SIGTERM)
    assert worker.ends() == 0


def test_stops_when_its_connections_are_silent(
    gate: Gate, server: embedded.Server, start: Start
) -> None:
    worker = start(through(gate, server)).started()
    gate.forget()

    worker.send(signal.SIGTERM)

    assert worker.ends(within=30) == 0


def test_who_waits_in_vain_in_a_transaction_is_freed(
    gate: Gate, server: embedded.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_watch, "LOOK_SECONDS", 0.2)
    app = App(through(gate, server))

    with pytest.raises(psycopg.OperationalError), app.backend.user_connection() as connection:
        gate.forget()
        while True:
            connection.execute("SELECT 1")

    with app.backend.user_connection() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    app.close()


async def test_a_coroutine_that_waits_in_vain_in_a_transaction_is_freed(
    gate: Gate, server: embedded.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_watch, "LOOK_SECONDS", 0.2)
    app = App(through(gate, server))

    with pytest.raises(psycopg.OperationalError):
        async with app.backend.user_connection_async() as connection:
            gate.forget()
            while True:
                await connection.execute("SELECT 1")

    async with app.backend.user_connection_async() as connection:
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)
    await app.close_async()
    app.close()


def test_what_takes_its_time_is_waited_for(
    gate: Gate, server: embedded.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long statement, a pipeline that rests, a result that is read slowly."""
    monkeypatch.setattr(postgres_watch, "LOOK_SECONDS", 0.05)
    app = App(through(gate, server))

    with app.backend.user_connection() as connection, psycopg.connect(server.url) as other:
        connection.execute("SELECT pg_sleep(1)")
        with connection.pipeline():
            connection.execute("SELECT 1")
            other.execute("SELECT pg_sleep(0.5)")
        for _ in connection.cursor().stream("SELECT generate_series(1, 3)"):
            other.execute("SELECT pg_sleep(0.5)")
        assert connection.execute("SELECT 1").fetchone() == (1,)
    app.close()


def test_a_forked_child_hangs_up_nothing_of_its_parents(server: embedded.Server) -> None:
    """It has a copy of who was waiting, which nothing will ever change."""
    script = """
import asyncio, os
from pgqueue import App
from pgqueue.backends.postgres import stall_watch as postgres_watch
postgres_watch.LOOK_SECONDS = 0.05
app = App(os.environ["URL"])
async def parent():
    async with app.backend.user_connection_async() as connection:
        asking = asyncio.ensure_future(connection.execute("SELECT pg_sleep(0.2)"))
        await asyncio.sleep(0)
        if (child := os.fork()) == 0:
            try:
                with app.backend.user_connection() as own:
                    own.execute("SELECT pg_sleep(1)")
            finally:
                os._exit(0)
        await asking
        await asyncio.to_thread(os.waitpid, child, 0)
        await connection.execute("SELECT 1")
asyncio.run(parent())
print("heard")
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "URL": server.url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.stdout, ended.returncode) == ("heard\n", 0), ended.stderr


async def test_a_claim_that_is_carried_out_late_is_heard_of(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where we may not end the session in which it was asked for, as behind a pooler."""
    monkeypatch.setattr(answer_deadline, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(unheard, "LATE_SECONDS", 2.0)
    gate = asyncio.Event()
    with a_role(store.url, "worker") as role, psycopg.connect(store.url, autocommit=True) as admin:
        admin.execute("REVOKE EXECUTE ON FUNCTION pg_terminate_backend FROM PUBLIC")
        app = App(as_role(store.url, role))

        @app.task
        async def nothing() -> None: ...

        @app.task
        async def wait() -> None:
            await gate.wait()

        worker = Worker(app, Options(concurrency=1))
        running = asyncio.create_task(worker.run())
        await ended(app, store.enqueue(nothing.job())[0])  # it has claimed, and will claim next
        claims = worker._agents.claims.connection
        assert isinstance(claims, PostgresWorkerConnection)
        assert claims.connection is not None
        pid = claims.connection.info.backend_pid
        await _stop_while_idle(admin, pid)
        try:
            [first] = store.enqueue(wait.job())
            await becomes(app, first, State.RUNNING)
            [second] = store.enqueue(wait.job())
        finally:
            os.kill(pid, signal.SIGCONT)
        await becomes(app, second, State.RUNNING)
        gate.set()

        for handle in (first, second):
            job = await ended(app, handle)
            assert (job.state, job.attempt) == (State.COMPLETED, 1)
        worker.stop()
        await running
        await app.close_async()
        admin.execute("GRANT EXECUTE ON FUNCTION pg_terminate_backend TO PUBLIC")


async def _stop_while_idle(admin: psycopg.Connection, pid: int) -> None:
    """Stop the server's process *pid* between two statements.

    Stopped within a claim, it would end that claim with the snapshot it has, and see no later job.
    """
    state = "SELECT state FROM pg_stat_activity WHERE pid = %s"
    while True:
        if admin.execute(state, (pid,)).fetchone() == ("idle",):
            os.kill(pid, signal.SIGSTOP)
            if admin.execute(state, (pid,)).fetchone() == ("idle",):
                return
            os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(0)
