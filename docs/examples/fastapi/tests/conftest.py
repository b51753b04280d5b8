import pytest
import pytest_asyncio
from httpx import ASGITransport, AsyncClient
from shop import database
from shop.tasks import queue
from shop.web import web
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from pgqueue import migrations
from pgqueue.testing import AsyncJobs

pytest_plugins = ["pgqueue.testing.fixtures"]


@pytest.fixture
def pgqueue_app():
    return queue


@pytest_asyncio.fixture
async def session(pgqueue_postgres):
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
def jobs(session):
    return AsyncJobs(queue, session)


@pytest_asyncio.fixture
async def client(session):
    web.dependency_overrides[database.session] = lambda: session
    async with AsyncClient(transport=ASGITransport(web), base_url="http://shop") as opened:
        yield opened
    web.dependency_overrides.clear()
