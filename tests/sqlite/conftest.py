"""A SQLite file with the queue in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgqueue.backends.sqlite import SqliteBackend
from pgqueue.testing.conformance import store as store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def backend(url: str) -> Iterator[SqliteBackend]:
    backend = SqliteBackend(url)
    yield backend
    backend.close()
