"""The stores under test. A new one adds its name here and a fixture that makes its backend."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgqueue.backends.base import Backend
from pgqueue.backends.postgres import PostgresBackend
from tests.conformance.store import Store

STORES = ["postgres"]


@pytest.fixture
def postgres_backend(postgres_url: str) -> Iterator[PostgresBackend]:
    backend = PostgresBackend(postgres_url)
    yield backend
    backend.close()


@pytest.fixture(params=STORES)
def backend(request: pytest.FixtureRequest) -> Backend:
    made: Backend = request.getfixturevalue(f"{request.param}_backend")
    for needs in request.node.iter_markers("needs"):
        if missing := set(needs.args) - made.capabilities:
            pytest.skip(f"{request.param} has no {', '.join(sorted(missing))}")
    return made


@pytest.fixture
def store(backend: Backend) -> Iterator[Store]:
    """A fresh store with one worker; afterwards nothing may be stranded, and no counter wrong."""
    store = Store(backend)
    yield store
    store.check()
