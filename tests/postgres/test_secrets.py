"""What nobody asked for is in no message and no log: arguments, results, passwords."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from rich.pretty import pretty_repr
from sqlalchemy.exc import SQLAlchemyError

from pgqueue import App, enqueue, migrations, operations
from pgqueue.backends import connect
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.embedded import Server, start
from pgqueue.errors import InvalidUrl, PgqueueError, StoreUnavailable
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.job import NewJob, State
from pgqueue.operations import Completed, inspections
from pgqueue.testing.conformance import PROFILE
from tests.cli.terminal import Terminal
from tests.postgres.pooler import pgbouncer

SECRET = "hunter2"
ARGS = f'{{"password": "{SECRET}"}}'


@pytest.fixture
def refusing(postgres_url: str) -> None:
    """The server refuses jobs of one task, and results; DETAIL shows the whole row."""
    with psycopg.connect(postgres_url) as owner:
        owner.execute("ALTER TABLE pgqueue.job ADD CONSTRAINT no CHECK (task <> 'refused')")
        owner.execute(
            "ALTER TABLE pgqueue.archive_completed ADD CONSTRAINT no CHECK (result IS NULL)"
        )


def said(error: BaseException) -> str:
    """All that a log would show of *error*."""
    return "".join(traceback.format_exception(error)) + str(error) + repr(error)


# Errors of the server


@pytest.mark.usefixtures("refusing")
async def test_a_row_that_is_refused_is_not_shown(app: App, postgres_url: str) -> None:
    job = NewJob[Any]("refused", ARGS, metadata=ARGS)
    errors: list[BaseException] = []
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        app.enqueue(job)
    errors.append(caught.value)
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        app.enqueue([job, NewJob("t").after(job)])
    errors.append(caught.value)
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        await app.enqueue_async(job)
    errors.append(caught.value)
    with (
        psycopg.connect(postgres_url) as connection,
        pytest.raises(psycopg.errors.CheckViolation) as caught,
    ):
        enqueue(connection, job)
    errors.append(caught.value)
    await app.close_async()

    for error in errors:
        assert 'violates check constraint "no"' in str(error)
        assert SECRET not in said(error)
        assert isinstance(error, psycopg.Error)
        assert SECRET in (error.diag.message_detail or "")  # for whoever asks


@pytest.mark.usefixtures("refusing")
async def test_a_result_that_is_refused_is_not_shown(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @app.task(max_attempts=1)
    async def tell(password: str) -> str:
        return password

    handle = app.enqueue(tell.job(SECRET))
    await app.run_worker(drain=True)

    [job] = app.execute(inspections.get([handle])).values()
    assert job.state == State.DISCARDED
    assert 'violates check constraint "no"' in (job.reason or "")
    assert SECRET not in (job.reason or "") + str(job.errors) + caplog.text
    assert "cannot be stored" in caplog.text


async def test_a_worker_tells_its_log_nothing_of_what_it_runs(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @app.task
    async def tell(password: str) -> str:
        return password

    @app.task(max_attempts=1)
    def fail(password: str) -> None:
        raise ValueError(f"refused\n{password}")  # what it says itself is logged: its first line

    @app.task(max_attempts=1)
    async def misread(password: int) -> None: ...

    app.enqueue(tell.job(SECRET), fail.job(SECRET), NewJob("misread", ARGS), NewJob("none", ARGS))
    await app.run_worker(drain=True)

    assert "no task" in caplog.text
    assert SECRET not in caplog.text


# Representations


def test_a_representation_shows_neither_arguments_nor_results(postgres_url: str, app: App) -> None:
    job = NewJob[Any]("t", ARGS, metadata=ARGS, unique=SECRET)
    handle = app.enqueue(job)
    member = app.execute(operations.join(PROFILE))
    [claimed] = app.execute(operations.claim("default", member.worker, member.lease, 1))
    operation = operations.complete([Completed(claimed.id, claimed.lease, ARGS)])
    shown = [
        job,
        handle,
        claimed,
        operation,
        operations.retry([1]),
        Completed(1, 2, ARGS),
        Completion(ARGS, (job,)),
        [job],
        {"job": claimed},
    ]

    assert [one for one in shown if SECRET in repr(one) + str(one) + pretty_repr(one)] == []
    assert "t" in repr(job)
    assert str(claimed.id) in repr(claimed)


def test_a_representation_shows_no_password() -> None:
    url = f"postgresql://me:{SECRET}@localhost/shop"
    app = App(url, listen_url=url)

    for one in (app, app.backend, connect(url), app.backend.worker_connection()):
        assert SECRET not in repr(one) + pretty_repr(one)


# Passwords


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server that wants a password."""
    with start(ephemeral=True, tcp=True) as server:
        migrations.migrate(server.url)
        yield server


async def test_a_wrong_password_is_not_repeated(
    guarded: Server, caplog: pytest.LogCaptureFixture
) -> None:
    password = guarded.tcp_url.partition("postgres:")[2].partition("@")[0]
    url = guarded.tcp_url.replace(password, SECRET)
    errors = []
    backend = PostgresBackend(url)
    with (
        pytest.raises(StoreUnavailable, match="password authentication failed") as caught,
        backend.connect(),
    ):
        pass
    errors.append(caught.value)
    with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
        await backend.worker_connection().open()
    errors.append(caught.value)
    with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
        migrations.migrate(url)
    errors.append(caught.value)
    ended = Terminal(url)("status")

    assert [error for error in errors if SECRET in said(error)] == []
    assert SECRET not in ended.err + caplog.text


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}%zz@localhost/shop",
        f"postgresql://me:a/{SECRET}@localhost/shop",
        f"postgresql://me:a@{SECRET}@localhost/shop",
        f"postgresql://me:{SECRET}@localhost:{SECRET}/shop",
        f"postgresql://me:{SECRET} x@localhost/shop",
        f"postgresql://me:{SECRET}@[localhost/shop",
        f"postgresql://me:{SECRET}@localhost/shop?password={SECRET}&what=1",
        f"postgresql://me:{SECRET}\0@localhost/shop",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(InvalidUrl) as refused:
        connect(url)
    assert SECRET not in said(refused.value)
    with pytest.raises(PgqueueError) as refused:
        connect("postgresql:///shop", listen_url=url)
    assert SECRET not in said(refused.value)
    with pytest.raises((PgqueueError, SQLAlchemyError)) as other:
        migrations.check(url)
    assert SECRET not in said(other.value).replace("raise InvalidUrl", "")


# TLS


@pytest.mark.parametrize("way", ["connect", "worker_connection", "session", "listen", "migrate"])
async def test_a_server_without_tls_is_refused_where_the_url_asks_for_it(
    guarded: Server, way: str
) -> None:
    url = f"{guarded.tcp_url}?sslmode=require"
    backend = PostgresBackend(url)

    async def go() -> None:
        match way:
            case "connect":
                with backend.connect():
                    pass
            case "worker_connection":
                await backend.worker_connection().open()
            case "session":
                await backend.session(lambda _: None, lambda: None).open()
            case "listen":
                with backend.listen(["x"]):
                    pass
            case "migrate":
                migrations.migrate(url)

    with pytest.raises(StoreUnavailable, match="SSL was required"):
        await go()


async def test_everything_goes_through_tls_where_the_url_asks_for_it(postgres_url: str) -> None:
    """Before a pooler, as PostgreSQL from a wheel speaks none; it lets in nobody without."""
    with pgbouncer(postgres_url, tls=True) as url:
        app = App(url)

        @app.task
        async def ring() -> int:
            return 7

        handles = [app.enqueue(ring.job()), await app.enqueue_async(ring.job())]
        await app.run_worker(drain=True)
        assert [app.result(handle, timeout=5) for handle in handles] == [7, 7]
        app.close()
        await app.close_async()
        assert "completed" in Terminal(url).ok("jobs", "list")
        assert migrations.check(url)

        open_url = url.partition("?")[0] + "?sslmode=disable"
        unknown = re.sub("sslrootcert=[^&]*", "sslrootcert=/nowhere/root.crt", url)
        for wrong, says in ((open_url, "SSL required"), (unknown, "root certificate file")):
            with pytest.raises(StoreUnavailable, match=says):
                await PostgresBackend(wrong).worker_connection().open()
