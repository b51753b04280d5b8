"""The stores under test. A new one adds its name, and the two fixtures that make its backends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgqueue.backends.base import Backend
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.backends.redis import RedisBackend
from pgqueue.backends.sqlite import SqliteBackend
from tests.valkey import Valkey

STORES = ["postgres", "sqlite_file", "sqlite_memory", "redis", "redis_cluster"]


@pytest.fixture(params=STORES)
def store_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def backend(store_name: str, request: pytest.FixtureRequest) -> Backend:
    made: Backend = request.getfixturevalue(f"{store_name}_backend")
    return made


@pytest.fixture
def second_backend(
    store_name: str, backend: Backend, request: pytest.FixtureRequest
) -> Iterator[Backend]:
    """What another process has: a backend of its own, on the same store."""
    made: Backend = request.getfixturevalue(f"second_{store_name}_backend")
    yield made
    made.close()


@pytest.fixture
def postgres_backend(postgres_url: str) -> Iterator[PostgresBackend]:
    backend = PostgresBackend(postgres_url)
    yield backend
    backend.close()


@pytest.fixture
def second_postgres_backend(postgres_backend: PostgresBackend) -> PostgresBackend:
    return PostgresBackend(postgres_backend.url)


@pytest.fixture
def sqlite_file_backend(tmp_path: Path) -> Iterator[SqliteBackend]:
    backend = SqliteBackend(f"sqlite:///{tmp_path}/jobs.db")
    yield backend
    backend.close()


@pytest.fixture
def second_sqlite_file_backend(sqlite_file_backend: SqliteBackend) -> SqliteBackend:
    return SqliteBackend(sqlite_file_backend.url)


@pytest.fixture
def sqlite_memory_backend() -> SqliteBackend:
    return SqliteBackend("sqlite:///:memory:")


@pytest.fixture
def second_sqlite_memory_backend(sqlite_memory_backend: SqliteBackend) -> SqliteBackend:
    return sqlite_memory_backend


@pytest.fixture
def redis_backend(valkey_server: Valkey, namespace: str) -> Iterator[RedisBackend]:
    backend = RedisBackend(valkey_server.url, schema=namespace)
    yield backend
    backend.close()


@pytest.fixture
def second_redis_backend(redis_backend: RedisBackend) -> RedisBackend:
    return RedisBackend(redis_backend.url, schema=redis_backend.schema)


@pytest.fixture
def redis_cluster_backend(valkey_cluster: list[Valkey], namespace: str) -> Iterator[RedisBackend]:
    """Namespaces are spread over the nodes by their names."""
    seeds = ",".join(f"127.0.0.1:{node.port}" for node in valkey_cluster)
    backend = RedisBackend(f"redis+cluster://{seeds}", schema=namespace)
    yield backend
    backend.close()


@pytest.fixture
def second_redis_cluster_backend(redis_cluster_backend: RedisBackend) -> RedisBackend:
    return RedisBackend(redis_cluster_backend.url, schema=redis_cluster_backend.schema)
