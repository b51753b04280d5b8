"""Sessions that are not as simple as one engine: the job goes where the writes go, or an error says
what to pass."""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Delete, Engine, Insert, Update, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgqueue import App, enqueue, execute
from pgqueue.errors import UnsupportedConnection
from pgqueue.operations import inspections

app = App()


@app.task
def ring(n: int = 0) -> None: ...


class Base(DeclarativeBase):
    pass


class Purchase(Base):
    __tablename__ = "purchase"

    id: Mapped[int] = mapped_column(primary_key=True)


def alchemy(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = create_engine(alchemy(postgres_url))
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
async def async_engine(engine: Engine) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(engine.url)
    yield made
    await made.dispose()


def jobs(url: str) -> int:
    with psycopg.connect(url) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM pgqueue.job").fetchall()
        return int(count)


def test_a_session_that_writes_to_several_databases_is_asked_for_one(
    engine: Engine, empty_url: str, postgres_url: str
) -> None:
    other = create_engine(alchemy(empty_url))
    for session in (Session(engine, binds={Purchase: other}), Session(binds={Purchase: engine})):
        with session, pytest.raises(UnsupportedConnection, match="bind_arguments"):
            enqueue(session, ring.job())
    with Session(binds={Purchase: engine}) as session:
        enqueue(session.connection(bind_arguments={"mapper": Purchase}), ring.job())
        session.commit()
    assert jobs(postgres_url) == 1
    other.dispose()


def test_several_names_of_one_engine_are_one_database(engine: Engine, postgres_url: str) -> None:
    with Session(engine, binds={Purchase: engine}) as session, session.begin():
        enqueue(session, ring.job())
    assert jobs(postgres_url) == 1


def test_a_session_that_routes_by_statement_takes_the_job_for_a_write(
    engine: Engine, empty_url: str, postgres_url: str
) -> None:
    replica = create_engine(alchemy(empty_url))

    class Routing(Session):
        def get_bind(self, mapper: Any = None, *, clause: Any = None, **kwargs: Any) -> Any:
            if self._flushing or isinstance(clause, (Insert, Update, Delete)):
                return engine
            return replica

    with Routing() as session, session.begin():
        session.execute(text("SELECT 1"))
        session.add(Purchase(id=1))
        session.flush()
        enqueue(session, ring.job())
        assert jobs(postgres_url) == 0
    assert jobs(postgres_url) == 1
    replica.dispose()


async def test_joins_the_transaction_inside_run_sync(
    async_engine: AsyncEngine, postgres_url: str
) -> None:
    async with AsyncSession(async_engine) as session:
        handle = await session.run_sync(lambda blocking: enqueue(blocking, ring.job(n=1)))
        assert (
            await session.run_sync(
                lambda blocking: execute(blocking, inspections.get([handle]))[handle.id].task
            )
            == "ring"
        )
        assert jobs(postgres_url) == 0
        await session.rollback()
        assert jobs(postgres_url) == 0
        await session.run_sync(lambda blocking: enqueue(blocking, ring.job(n=1), ring.job(n=2)))
        await session.commit()
    assert jobs(postgres_url) == 2


async def test_joins_the_transaction_in_an_event_of_a_flush(
    async_engine: AsyncEngine, postgres_url: str
) -> None:
    class Eventful(Session):
        pass

    @event.listens_for(Eventful, "after_flush")
    def ring_when_bought(session: Session, context: object) -> None:
        for _ in session.new:
            enqueue(session, ring.job())

    async with AsyncSession(async_engine, sync_session_class=Eventful) as session:
        session.add(Purchase(id=1))
        await session.commit()
    assert jobs(postgres_url) == 1


async def test_a_blocking_session_of_an_asyncio_engine_says_how_to_reach_it(
    async_engine: AsyncEngine,
) -> None:
    async with AsyncSession(async_engine) as session:
        with pytest.raises(UnsupportedConnection, match="run_sync"):
            enqueue(session.sync_session, ring.job())


async def test_a_forgotten_await_is_warned_of_by_name(async_engine: AsyncEngine) -> None:
    gc.collect()  # what earlier tests left has its warnings now
    async with AsyncSession(async_engine) as session:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            enqueue(session, ring.job())  # type: ignore[unused-coroutine]
            gc.collect()
    assert [str(each.message) for each in caught] == [
        "coroutine 'pgqueue.enqueue' was never awaited"
    ]
