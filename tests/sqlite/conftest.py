"""A SQLite file with the queue in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgqueue.backends.sqlite import SqliteBackend
from pgqueue.testing.conformance import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def backend(url: str) -> Iterator[SqliteBackend]:
    backend = SqliteBackend(url)
    yield backend
    backend.close()


@pytest.fixture
def store(backend: SqliteBackend) -> Iterator[Store]:
    """A fresh store with one worker; afterwards nothing may be stranded, and no counter wrong."""
    store = Store(backend)
    yield store
    store.check()
