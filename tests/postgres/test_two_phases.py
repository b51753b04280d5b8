"""A transaction in two phases brings its jobs along, whoever sleeps meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeAlias

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.orm import Session

from pgqueue import enqueue
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.testing.conformance import Store, a_job

Jobs: TypeAlias = Callable[[], list[Any]]


@pytest.fixture(autouse=True)
async def somebody_sleeps(backend: PostgresBackend) -> AsyncIterator[None]:
    session = backend.session(lambda topic: None, lambda: None)
    await session.open()
    await session.subscribe(["default", "@"])
    yield
    await session.close()


@pytest.fixture
def engine(backend: PostgresBackend) -> Iterator[Engine]:
    url = make_url(backend.url) if "://" in backend.url else "postgresql+psycopg://"
    engine = create_engine(url, creator=lambda: psycopg.connect(backend.url))
    yield engine
    engine.dispose()


@pytest.fixture(params=["one", "many", "unique", "later", "child", "ended parent"])
def jobs(request: pytest.FixtureRequest, store: Store) -> list[Any]:
    """What wakes somebody, each by another statement."""
    match request.param:
        case "one":
            return [a_job()]
        case "many":
            return [a_job(), a_job()]
        case "unique":
            return [a_job(unique="k")]
        case "later":
            return [a_job(delay=None).options(delay=1)]
        case "child":
            return [first := a_job(), a_job().after(first)]
        case _:
            return [a_job().after(store.bring("completed"))]


def test_psycopg(backend: PostgresBackend, store: Store, jobs: list[Any]) -> None:
    with psycopg.connect(backend.url) as connection:
        connection.tpc_begin("psycopg")
        handles = enqueue(connection, jobs)
        connection.tpc_prepare()
        assert store.missing(*handles)
        connection.tpc_commit()

    assert not store.missing(*handles)


async def test_psycopg_async(backend: PostgresBackend, store: Store, jobs: list[Any]) -> None:
    async with await psycopg.AsyncConnection.connect(backend.url) as connection:
        await connection.tpc_begin("psycopg async")
        handles = await enqueue(connection, jobs)
        await connection.tpc_prepare()
        await connection.tpc_commit()

    assert not store.missing(*handles)


def test_sqlalchemys_session(engine: Engine, store: Store, jobs: list[Any]) -> None:
    with Session(engine, twophase=True) as session:
        handles = enqueue(session, jobs)
        session.prepare()
        assert store.missing(*handles)
        session.commit()

    assert not store.missing(*handles)


def test_sqlalchemys_connection(engine: Engine, store: Store, jobs: list[Any]) -> None:
    with engine.connect() as connection, connection.begin_twophase() as transaction:
        handles = enqueue(connection, jobs)
        transaction.prepare()
        transaction.commit()

    assert not store.missing(*handles)


def test_the_door_in_sql_when_it_is_told(backend: PostgresBackend, store: Store) -> None:
    with psycopg.connect(backend.url, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("SET LOCAL pgqueue_local.notify = 'off'")
        [(id,)] = connection.execute("SELECT pgqueue.enqueue('t')").fetchall()
        connection.execute("PREPARE TRANSACTION 'door'")
        connection.execute("COMMIT PREPARED 'door'")

    assert store.state(id) == "available"


def test_what_is_told_lasts_as_long_as_the_transaction(backend: PostgresBackend) -> None:
    with psycopg.connect(backend.url, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("SET LOCAL pgqueue_local.notify = 'off'")
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        connection.execute("SELECT pgqueue.enqueue('t')")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="NOTIFY"):
            connection.execute("PREPARE TRANSACTION 'again'")
