"""An application's pooled connections: an error says why there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgqueue import App, inspections
from pgqueue.backends import postgres
from pgqueue.errors import StoreUnavailable

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "POOL_SECONDS", 0.2)


@pytest.fixture
def app(postgres_url: str) -> Iterator[App]:
    app = App(postgres_url, pool_size=1)
    yield app
    app.close()


async def test_says_why_the_database_cannot_be_reached() -> None:
    app = App(NOWHERE)
    with pytest.raises(StoreUnavailable, match=r"cannot be reached.*refused"):
        app.execute(inspections.version())
    with pytest.raises(StoreUnavailable, match=r"cannot be reached.*refused"):
        await app.execute_async(inspections.version())
    app.close()
    await app.close_async()


async def test_says_that_all_connections_are_in_use(app: App) -> None:
    with app.backend.transaction(), pytest.raises(StoreUnavailable, match="all 1 connections"):
        app.execute(inspections.version())
    async with app.backend.transaction_async():
        with pytest.raises(StoreUnavailable, match="pool_size"):
            await app.execute_async(inspections.version())
    await app.close_async()
