from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from httpx import ASGITransport, AsyncClient
from shop import database
from shop.tasks import queue
from shop.web import web
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from pgqueue import App, migrations
from pgqueue.testing import AsyncJobs

pytest_plugins = ["pgqueue.testing.fixtures"]


@pytest.fixture
def pgqueue_app() -> App:
    return queue


@pytest_asyncio.fixture
async def session(pgqueue_postgres: str) -> AsyncIterator[AsyncSession]:
    """A session whose transaction is rolled back, on a PostgreSQL that the fixture has started."""
    migrations.migrate(pgqueue_postgres)
    engine = create_async_engine(pgqueue_postgres.replace("postgresql:", "postgresql+psycopg:"))
    async with engine.connect() as connection:
        await connection.run_sync(database.Base.metadata.create_all)
        async with AsyncSession(connection, join_transaction_mode="create_savepoint") as opened:
            yield opened
        await connection.rollback()
    await engine.dispose()


@pytest.fixture
def jobs(session: AsyncSession) -> AsyncJobs:
    return AsyncJobs(queue, session)


@pytest_asyncio.fixture
async def client(session: AsyncSession) -> AsyncIterator[AsyncClient]:
    def the_test_s() -> AsyncSession:
        return session

    web.dependency_overrides[database.session] = the_test_s
    async with AsyncClient(transport=ASGITransport(web), base_url="http://shop") as opened:
        yield opened
    web.dependency_overrides.clear()
