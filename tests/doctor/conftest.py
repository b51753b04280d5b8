"""A database, how a doctor finds it, and hands that make it sick."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import psycopg
import pytest

from pgqueue.backends.postgres import PostgresBackend
from pgqueue.doctor import Finding, examine
from pgqueue.testing.conformance import Store

Look: TypeAlias = Callable[..., list[Finding]]


@pytest.fixture
def postgres_url(fresh_url: str) -> str:
    """Without anybody's statistics."""
    return fresh_url


@pytest.fixture
def look(postgres_url: str) -> Look:
    """What one check finds; of all checks, what is not well."""

    def look(check: str | None = None, *, url: str = postgres_url, **options: Any) -> list[Finding]:
        backend = PostgresBackend(url, **options)
        found = list(examine(backend, "pgqueue"))
        if check is None:
            return [finding for finding in found if finding.level != "ok"]
        return [finding for finding in found if finding.check == check]

    return look


@pytest.fixture
def owner(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """The database's owner, in autocommit."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    """The store, at the time it is."""
    backend = PostgresBackend(postgres_url)
    store = Store(backend)
    store.leave(store.worker)
    store.now = None
    yield store
    backend.close()


def well(findings: list[Finding]) -> bool:
    """Is there nothing to say, but that all is well?"""
    return [finding.level for finding in findings] == ["ok"]
