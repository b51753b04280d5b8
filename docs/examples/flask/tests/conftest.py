from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from shop import web
from shop.database import Base
from shop.tasks import queue
from sqlalchemy import Connection, create_engine

from pgqueue import App, migrations
from pgqueue.testing import Jobs

pytest_plugins = ["pgqueue.testing.fixtures"]


@pytest.fixture
def pgqueue_app() -> App:
    return queue


@pytest.fixture
def connection(pgqueue_postgres: str) -> Iterator[Connection]:
    """A connection that is rolled back, on a PostgreSQL that the fixture has started."""
    migrations.migrate(pgqueue_postgres)
    engine = create_engine(pgqueue_postgres.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        Base.metadata.create_all(connection)
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.fixture
def jobs(connection: Connection) -> Jobs:
    return Jobs(queue, connection)


@pytest.fixture
def client(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    sessions = web.session_of_request
    monkeypatch.setitem(sessions.kw, "bind", connection)
    monkeypatch.setitem(sessions.kw, "join_transaction_mode", "create_savepoint")
    return web.site.test_client()
