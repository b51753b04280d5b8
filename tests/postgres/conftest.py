"""A PostgreSQL store, and connections that get into each other's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import TypeAlias

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgqueue import App
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.testing.conformance import store as store
from tests.postgres.racer import PATIENCE, Racer

Racers: TypeAlias = Callable[..., Awaitable[Racer]]


@pytest.fixture
def app(postgres_url: str) -> Iterator[App]:
    app = App(postgres_url)
    yield app
    app.close()


@pytest.fixture
def backend(postgres_url: str) -> Iterator[PostgresBackend]:
    backend = PostgresBackend(make_conninfo(postgres_url, options=f"-c lock_timeout={PATIENCE}s"))
    yield backend
    backend.close()


@pytest.fixture
async def racer(backend: PostgresBackend) -> AsyncIterator[Racers]:
    """Makes racers, each with a connection of its own."""
    async with AsyncExitStack() as stack:
        watcher = await psycopg.AsyncConnection.connect(backend.url, autocommit=True)
        await stack.enter_async_context(watcher)

        async def make(isolation: psycopg.IsolationLevel | None = None) -> Racer:
            connection = await psycopg.AsyncConnection.connect(backend.url)
            await connection.set_isolation_level(isolation)
            await stack.enter_async_context(connection)
            return Racer(backend, connection, watcher)

        yield make
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
