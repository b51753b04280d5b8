"""Connections of every kind, in a transaction that the test never commits."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pgqueue import App, migrations
from pgqueue.testing import AsyncJobs, Jobs
from tests.testing import shop

BLOCKING = ["psycopg", "alchemy_connection", "alchemy_session", "sqlite3", "alchemy_sqlite"]
ASYNCIO = ["psycopg_async", "alchemy_async_connection", "alchemy_async_session"]


@pytest.fixture
def app() -> App:
    return shop.make()


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    with migrations.connected(f"sqlite:///{path}") as bind:
        migrations.upgrade(bind)
    return path


@pytest.fixture(params=BLOCKING)
def connection(request: pytest.FixtureRequest) -> Iterator[Any]:
    kind = request.param
    if kind == "sqlite3":
        made = sqlite3.connect(request.getfixturevalue("sqlite_path"))
        yield made
        made.rollback()
        made.close()
    elif kind == "psycopg":
        with psycopg.connect(request.getfixturevalue("postgres_url")) as raw:
            yield raw
            raw.rollback()
    else:
        if kind == "alchemy_sqlite":
            url = f"sqlite:///{request.getfixturevalue('sqlite_path')}"
        else:
            url = alchemy(request.getfixturevalue("postgres_url"))
        engine = create_engine(url)
        with engine.connect() as raw:
            yield Session(raw) if kind == "alchemy_session" else raw
            raw.rollback()
        engine.dispose()


@pytest.fixture(params=ASYNCIO)
async def async_connection(request: pytest.FixtureRequest, postgres_url: str) -> AsyncIterator[Any]:
    if request.param == "psycopg_async":
        async with await psycopg.AsyncConnection.connect(postgres_url) as raw:
            yield raw
            await raw.rollback()
        return
    engine = create_async_engine(alchemy(postgres_url))
    async with engine.connect() as connection:
        if request.param == "alchemy_async_session":
            async with AsyncSession(connection) as session:
                yield session
        else:
            yield connection
        await connection.rollback()
    await engine.dispose()


@pytest.fixture
def jobs(app: App, connection: Any) -> Jobs:
    return Jobs(app, connection)


@pytest.fixture
def async_jobs(app: App, async_connection: Any) -> AsyncJobs:
    return AsyncJobs(app, async_connection)


def alchemy(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)
