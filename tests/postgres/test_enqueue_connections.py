"""`enqueue` on whatever connection the application has: in its transaction, and in no other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg.rows import dict_row, namedtuple_row
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pgqueue import App, NewJob, enqueue, execute, statements
from pgqueue.errors import InvalidJob, SchemaMissing, UnsupportedConnection
from pgqueue.operations import inspections
from tests.connections.kinds import Opened, OpenedAsync

app = App()


@app.task
def ring(n: int = 0) -> None: ...


elsewhere = App(schema="elsewhere")


@elsewhere.task
def knock(n: int = 0) -> None: ...


REFUSED = 1_000_000


class Database:
    """Sees what is committed, from outside."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.alchemy_url = url.replace("postgresql://", "postgresql+psycopg://")
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("CREATE TABLE purchase (id integer)")
        self._connection.execute(
            f"ALTER TABLE pgqueue.job ADD CHECK ((args ->> 'n')::integer < {REFUSED})".encode()
        )

    def jobs(self, schema: str = "pgqueue") -> list[int]:
        query = f"SELECT (args ->> 'n')::integer FROM {schema}.job ORDER BY id"
        return [n for (n,) in self._connection.execute(query.encode()).fetchall()]

    def ids(self) -> list[int]:
        return [id for (id,) in self._connection.execute("SELECT id FROM pgqueue.job ORDER BY id")]

    def purchases(self) -> list[int]:
        return [n for (n,) in self._connection.execute("SELECT id FROM purchase ORDER BY 1")]

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url)
    yield database
    database.close()


class Psycopg(Opened):
    async def run(self, sql: str) -> None:
        self.connection.execute(sql)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        with self.connection.transaction():
            yield


class PsycopgAsync(OpenedAsync):
    async def run(self, sql: str) -> None:
        await self.connection.execute(sql)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        async with self.connection.transaction():
            yield


Kind: TypeAlias = Callable[[Database], AbstractAsyncContextManager[Opened]]


@asynccontextmanager
async def psycopg_blocking(database: Database, **options: Any) -> AsyncIterator[Opened]:
    with psycopg.connect(database.url, **options) as connection:
        yield Psycopg(connection)


@asynccontextmanager
async def psycopg_asyncio(database: Database, **options: Any) -> AsyncIterator[Opened]:
    async with await psycopg.AsyncConnection.connect(database.url, **options) as connection:
        yield PsycopgAsync(connection)


@asynccontextmanager
async def alchemy_connection(database: Database, **options: Any) -> AsyncIterator[Opened]:
    engine = create_engine(database.alchemy_url, **options)
    with engine.connect() as connection:
        yield Opened(connection)
    engine.dispose()


@asynccontextmanager
async def alchemy_session(database: Database, **options: Any) -> AsyncIterator[Opened]:
    engine = create_engine(database.alchemy_url, **options)
    with Session(engine) as session:
        yield Opened(session)
    engine.dispose()


@asynccontextmanager
async def alchemy_scoped_session(database: Database, **options: Any) -> AsyncIterator[Opened]:
    engine = create_engine(database.alchemy_url, **options)
    session = scoped_session(sessionmaker(engine))
    yield Opened(session)
    session.remove()
    engine.dispose()


@asynccontextmanager
async def _async_engine(database: Database, **options: Any) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(database.alchemy_url, **options)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def alchemy_async_connection(database: Database, **options: Any) -> AsyncIterator[Opened]:
    async with _async_engine(database, **options) as engine, engine.connect() as connection:
        yield OpenedAsync(connection)


@asynccontextmanager
async def alchemy_async_session(database: Database, **options: Any) -> AsyncIterator[Opened]:
    async with _async_engine(database, **options) as engine, AsyncSession(engine) as session:
        yield OpenedAsync(session)


@asynccontextmanager
async def alchemy_async_scoped(database: Database, **options: Any) -> AsyncIterator[Opened]:
    async with _async_engine(database, **options) as engine:
        session = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: 1)
        try:
            yield OpenedAsync(session)
        finally:
            await session.remove()


PSYCOPG = [psycopg_blocking, psycopg_asyncio]
ALCHEMY = [
    alchemy_connection,
    alchemy_session,
    alchemy_scoped_session,
    alchemy_async_connection,
    alchemy_async_session,
    alchemy_async_scoped,
]
every_kind = pytest.mark.parametrize("opened", [*PSYCOPG, *ALCHEMY])


@every_kind
async def test_the_job_exists_when_the_transaction_commits(
    database: Database, opened: Kind
) -> None:
    async with opened(database) as connection:
        handle = await connection.enqueue(ring.job(1))
        await connection.buy(1)
        two = await connection.enqueue(ring.job(2), ring.job(3))
        assert handle.task == "ring"
        assert [handle.id, *(h.id for h in two)] == sorted({handle.id, *(h.id for h in two)})
        assert (database.jobs(), database.purchases()) == ([], [])

        await connection.commit()

        assert (database.jobs(), database.purchases()) == ([1, 2, 3], [1])


@every_kind
async def test_the_job_never_was_when_the_transaction_rolls_back(
    database: Database, opened: Kind
) -> None:
    async with opened(database) as connection:
        await connection.enqueue(ring.job(1))
        await connection.buy(1)

        await connection.rollback()
        assert database.jobs() == []

        await connection.enqueue(ring.job(2))
        await connection.buy(2)
        await connection.commit()
        assert (database.jobs(), database.purchases()) == ([2], [2])


@every_kind
async def test_the_job_goes_when_nobody_commits(database: Database, opened: Kind) -> None:
    class GoneWrong(Exception): ...

    with pytest.raises(GoneWrong):
        async with opened(database) as connection:
            await connection.enqueue(ring.job(1))
            raise GoneWrong

    assert database.jobs() == []


@every_kind
async def test_a_savepoint_takes_its_own_jobs_along_and_no_others(
    database: Database, opened: Kind
) -> None:
    class GoneWrong(Exception): ...

    async with opened(database) as connection:
        await connection.buy(1)
        await connection.enqueue(ring.job(1))
        with pytest.raises(GoneWrong):
            async with connection.savepoint():
                await connection.enqueue(ring.job(2), ring.job(3))
                raise GoneWrong
        async with connection.savepoint():
            await connection.enqueue(ring.job(4))
        await connection.commit()

    assert database.jobs() == [1, 4]


@every_kind
async def test_takes_thousands_of_jobs_in_one_call(database: Database, opened: Kind) -> None:
    async with opened(database) as connection:
        handles = await connection.enqueue([ring.job(n) for n in range(2_500)])
        assert len({handle.id for handle in handles}) == 2_500
        assert database.jobs() == []
        await connection.commit()

    assert database.jobs() == list(range(2_500))


@every_kind
async def test_takes_none_when_one_is_wrong(database: Database, opened: Kind) -> None:
    async with opened(database) as connection:
        with pytest.raises(InvalidJob, match="no job 987654321"):
            await connection.enqueue(ring.job(1), ring.job(2).after(987654321))
        await connection.buy(1)
        await connection.commit()

    assert (database.jobs(), database.purchases()) == ([], [1])


@every_kind
async def test_takes_dependencies_and_unique_keys(database: Database, opened: Kind) -> None:
    async with opened(database) as connection:
        first = ring.job(1).options(unique="once")
        handles = await connection.enqueue(first, ring.job(2).after(first))
        again = await connection.enqueue(ring.job(3).options(unique="once"))
        await connection.commit()

    assert (again.id, again.created) == (handles[0].id, False)
    assert database.jobs() == [1, 2]


@pytest.mark.parametrize("opened", PSYCOPG)
async def test_in_autocommit_a_call_is_a_transaction_of_its_own(
    database: Database, opened: Any
) -> None:
    async with opened(database, autocommit=True) as connection:
        await connection.enqueue(ring.job(1))
        assert database.jobs() == [1]

        await connection.enqueue([ring.job(n) for n in range(2, 2_500)])
        assert len(database.jobs()) == 2_499

        with pytest.raises(psycopg.errors.CheckViolation):
            await connection.enqueue([*(ring.job(n) for n in range(1_500)), ring.job(REFUSED)])
        assert len(database.jobs()) == 2_499

        async with connection.savepoint():  # in autocommit, a transaction
            await connection.enqueue(ring.job(0))
            assert len(database.jobs()) == 2_499
        assert len(database.jobs()) == 2_500


@pytest.mark.parametrize("opened", ALCHEMY)
async def test_on_an_engine_in_autocommit_a_call_is_a_transaction_of_its_own(
    database: Database, opened: Any
) -> None:
    async with opened(database, isolation_level="AUTOCOMMIT") as connection:
        await connection.enqueue(ring.job(1))
        assert database.jobs() == [1]

        with pytest.raises(psycopg.errors.CheckViolation):
            await connection.enqueue([*(ring.job(n) for n in range(1_500)), ring.job(REFUSED)])

        assert database.jobs() == [1]


@pytest.mark.parametrize("opened", [*PSYCOPG, *ALCHEMY])
async def test_in_a_strict_transaction(database: Database, opened: Any) -> None:
    options = {"isolation_level": "SERIALIZABLE"} if opened in ALCHEMY else {}
    async with opened(database, **options) as connection:
        if opened is psycopg_blocking:
            connection.connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        elif opened is psycopg_asyncio:
            await connection.connection.set_isolation_level(psycopg.IsolationLevel.SERIALIZABLE)

        await connection.enqueue(ring.job(1), ring.job(2))
        await connection.buy(1)
        await connection.commit()

    assert database.jobs() == [1, 2]


@pytest.mark.parametrize("opened", PSYCOPG)
@pytest.mark.parametrize("row_factory", [dict_row, namedtuple_row])
async def test_does_not_mind_how_rows_are_made(
    database: Database, opened: Any, row_factory: Any
) -> None:
    async with opened(database, row_factory=row_factory) as connection:
        first = ring.job(1).options(unique="once")
        handles = await connection.enqueue(first, ring.job(2).after(first))
        again = await connection.enqueue(ring.job(3).options(unique="once"))
        await connection.commit()

    assert again.id == handles[0].id
    assert database.jobs() == [1, 2]


async def test_does_not_mind_which_cursors_the_application_prefers(database: Database) -> None:
    for cursor in (psycopg.ClientCursor, psycopg.RawCursor):
        with psycopg.connect(database.url, cursor_factory=cursor) as connection:
            enqueue(connection, ring.job(1), ring.job(2))

    assert database.jobs() == [1, 2, 1, 2]


@pytest.mark.parametrize("autocommit", [False, True])
async def test_works_inside_a_pipeline(database: Database, autocommit: bool) -> None:
    with (
        psycopg.connect(database.url, autocommit=autocommit) as connection,
        connection.pipeline(),
    ):
        connection.execute("INSERT INTO purchase VALUES (1)")
        first = ring.job(1)
        handles = enqueue(connection, first, ring.job(2).after(first))
        assert len(handles) == 2
        connection.execute("INSERT INTO purchase VALUES (2)")
    async with (
        await psycopg.AsyncConnection.connect(database.url, autocommit=autocommit) as asyncio,
        asyncio.pipeline(),
    ):
        await asyncio.execute("INSERT INTO purchase VALUES (3)")
        assert (await enqueue(asyncio, ring.job(3))).id

    assert (database.jobs(), database.purchases()) == ([1, 2, 3], [1, 2, 3])


@pytest.mark.parametrize("size", [10, 100_000])
async def test_many_jobs_keep_their_order_whatever_they_weigh(
    database: Database, size: int
) -> None:
    """Some are sent while the server works on others: neither may wait for the other."""
    count = 5_000 if size < 1_000 else 300
    jobs = [ring.job(n) for n in range(count)]
    if size > 1_000:
        jobs = [NewJob("ring", json.dumps({"n": n, "x": "x" * size})) for n in range(count)]
    with psycopg.connect(database.url) as connection:
        handles = enqueue(connection, jobs)
        connection.execute("INSERT INTO purchase VALUES (1)")
    async with await psycopg.AsyncConnection.connect(database.url) as asyncio:
        more = await enqueue(asyncio, jobs)
        await asyncio.execute("INSERT INTO purchase VALUES (2)")

    assert database.jobs() == [*range(count), *range(count)]
    assert [handle.id for handle in [*handles, *more]] == database.ids()
    assert database.purchases() == [1, 2]


async def test_many_jobs_are_one_step_of_a_pipeline(database: Database) -> None:
    jobs = [ring.job(n) for n in range(2_500)]
    with psycopg.connect(database.url) as connection, connection.pipeline():
        connection.execute("INSERT INTO purchase VALUES (1)")
        enqueue(connection, jobs)
    async with (
        await psycopg.AsyncConnection.connect(database.url) as asyncio,
        asyncio.pipeline(),
    ):
        await asyncio.execute("INSERT INTO purchase VALUES (2)")
        await enqueue(asyncio, jobs)

    assert (database.jobs(), database.purchases()) == ([*range(2_500)] * 2, [1, 2])


@pytest.mark.parametrize("autocommit", [False, True])
@pytest.mark.parametrize("refused", [0, 1_500, 4_999])
async def test_many_jobs_are_all_or_none(
    database: Database, autocommit: bool, refused: int
) -> None:
    jobs = [ring.job(REFUSED if n == refused else n) for n in range(5_000)]
    with psycopg.connect(database.url, autocommit=autocommit) as connection:
        with pytest.raises(psycopg.errors.CheckViolation):
            enqueue(connection, jobs)
        connection.rollback()
        enqueue(connection, ring.job(1))
    asyncio = await psycopg.AsyncConnection.connect(database.url, autocommit=autocommit)
    async with asyncio:
        with pytest.raises(psycopg.errors.CheckViolation):
            await enqueue(asyncio, jobs)
        await asyncio.rollback()
        await enqueue(asyncio, ring.job(2))

    assert database.jobs() == [1, 2]


@pytest.mark.parametrize("autocommit", [False, True])
async def test_works_inside_the_drivers_own_transaction_block(
    database: Database, autocommit: bool
) -> None:
    class GoneWrong(Exception): ...

    with psycopg.connect(database.url, autocommit=autocommit) as connection:
        with connection.transaction():
            enqueue(connection, ring.job(1))
            with pytest.raises(GoneWrong), connection.transaction():
                enqueue(connection, ring.job(2))
                raise GoneWrong
            assert database.jobs() == []
        assert database.jobs() == [1]


async def test_commits_with_sqlalchemy_although_nothing_else_was_written(
    database: Database,
) -> None:
    """SQLAlchemy begins at the first statement it sees; what goes below it must count as one."""
    engine = create_engine(database.alchemy_url)
    with engine.begin() as connection:
        enqueue(connection, ring.job(1))
    with Session(engine) as session, session.begin():
        enqueue(session, ring.job(2))
    with Session(engine) as session:
        enqueue(session, ring.job(3))
        session.commit()
    with Session(bind=engine.connect()) as session:
        enqueue(session, ring.job(4))
        session.commit()
    engine.dispose()

    assert database.jobs() == [1, 2, 3, 4]


class NotOurs:
    """A connection of some other driver."""

    def cursor(self) -> None: ...

    def commit(self) -> None: ...


NotOurs.__module__, NotOurs.__qualname__ = "pg8000.dbapi", "Connection"


@pytest.mark.parametrize(
    ("connection", "name"),
    [
        (NotOurs(), "pg8000.dbapi.Connection"),
        ("postgresql:///shop", "builtins.str"),
        (None, "builtins.NoneType"),
        (create_engine("postgresql+psycopg:///shop"), "sqlalchemy.engine.base.Engine"),
        (sessionmaker(), "sqlalchemy.orm.session.sessionmaker"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_what_it_cannot_write_through(connection: Any, name: str) -> None:
    with pytest.raises(UnsupportedConnection, match=name.replace(".", r"\.")) as refused:
        enqueue(connection, ring.job())
    assert "psycopg2, asyncpg, sqlite3" in str(refused.value)
    assert "docs/drivers.md" in str(refused.value)
    with pytest.raises(UnsupportedConnection):
        execute(connection, inspections.queues())


@pytest.fixture
def another_schema(database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        for file in statements.schema_files("postgres"):
            connection.execute(statements.in_schema(file.up, "elsewhere").encode())


@every_kind
async def test_jobs_go_to_the_schema_of_their_app(
    database: Database, opened: Kind, another_schema: None
) -> None:
    async with opened(database) as connection:
        await connection.enqueue(knock.job(1))
        await connection.enqueue(ring.job(2))
        await connection.commit()

    assert database.jobs("elsewhere") == [1]
    assert database.jobs() == [2]


@every_kind
async def test_jobs_of_two_schemas_do_not_go_together(
    database: Database, opened: Kind, another_schema: None
) -> None:
    async with opened(database) as connection:
        with pytest.raises(InvalidJob, match="elsewhere, pgqueue"):
            await connection.enqueue(knock.job(1), ring.job(2))
        await connection.commit()

    assert database.jobs() == database.jobs("elsewhere") == []


@every_kind
async def test_says_that_the_schema_is_missing(database: Database, opened: Kind) -> None:
    async with opened(database) as connection:
        with pytest.raises(SchemaMissing, match="pgqueue migrate"):
            await connection.enqueue(knock.job(1))


async def test_verbs_take_part_in_the_applications_transaction(database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        handles = enqueue(connection, ring.job(1), ring.job(2))
        found = execute(connection, inspections.get(handles))
        assert list(found) == [handle.id for handle in handles]
        connection.rollback()
        assert not execute(connection, inspections.get(handles))
    async with await psycopg.AsyncConnection.connect(database.url) as asyncio:
        handle = await enqueue(asyncio, ring.job(1))
        found = await execute(asyncio, inspections.get([handle]))
        assert list(found) == [handle.id]


WITHOUT_GREENLET = """
import sys
sys.modules["greenlet"] = None
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from pgqueue import App, enqueue
app = App()
@app.task
def ring(n: int) -> None: ...
engine = create_engine(sys.argv[1])
with engine.begin() as connection:
    enqueue(connection, ring.job(1))
with Session(engine) as session, session.begin():
    enqueue(session, ring.job(2))
"""


def test_needs_no_greenlet_for_blocking_sessions(database: Database) -> None:
    """SQLAlchemy needs it for asyncio, and no longer installs it unasked."""
    subprocess.run([sys.executable, "-c", WITHOUT_GREENLET, database.alchemy_url], check=True)

    assert database.jobs() == [1, 2]
