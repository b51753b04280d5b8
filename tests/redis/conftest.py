"""A Valkey of a test's own, worker processes on it, and a proxy that cuts connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pgqueue import App
from pgqueue.backends.redis import RedisBackend
from pgqueue.testing.conformance import store as store
from tests import valkey
from tests.conftest import require_valkey
from tests.redis.proxy import Proxy
from tests.valkey import Valkey
from tests.worker.process import Shop, WorkerProcess

Start: TypeAlias = Callable[..., WorkerProcess]


@pytest.fixture
def durable() -> Iterator[Valkey]:
    """A server that writes down what it does, as most do: fsync every second."""
    require_valkey()
    with valkey.server("--appendonly", "yes", "--appendfsync", "everysec", tcp=True) as server:
        yield server


@pytest.fixture
def proxy(durable: Valkey) -> Iterator[Proxy]:
    with Proxy(durable.port) as proxy:
        yield proxy


@pytest.fixture
def backend(valkey_server: Valkey, namespace: str) -> Iterator[RedisBackend]:
    backend = RedisBackend(valkey_server.url, schema=namespace)
    yield backend
    backend.close()


@pytest.fixture
def app(valkey_server: Valkey, namespace: str) -> Iterator[App]:
    app = App(valkey_server.url, schema=namespace)
    yield app
    app.close()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("SHOP_FOLDER", str(tmp_path))
    return Shop(tmp_path)


@pytest.fixture
def start(durable: Valkey, shop: Shop) -> Iterator[Start]:
    """Starts worker processes; kills them in the end."""
    workers: list[WorkerProcess] = []
    numbers = count(1)

    def start(url: str = durable.url, **options: Any) -> WorkerProcess:
        worker = WorkerProcess(url, shop, next(numbers), **options)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.kill()
