"""`App(mode=…)` when jobs are enqueued through every kind of connection of the caller's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from pgqueue import App
from tests.connections.conftest import Shop
from tests.connections.kinds import Kind


@asynccontextmanager
async def application(url: str, mode: Literal["inline", "inside"]) -> AsyncIterator[App]:
    app = App(url, mode=mode)
    try:
        yield app
    finally:
        await app.close_async()
        app.close()


async def test_inline_a_job_has_run_in_the_callers_transaction(shop: Shop, kind: Kind) -> None:
    seen: list[int] = []
    async with application(shop.url, "inline") as app, kind(shop.url) as connection:

        @app.task
        def note(n: int) -> None:
            seen.append(n)

        await connection.buy(1)
        await connection.enqueue(note.job(1))
        assert seen == [1]
        await connection.enqueue(note.job(2), note.job(3))
        assert sorted(seen) == [1, 2, 3]
        assert shop.purchases() == []
        await connection.rollback()

    assert (shop.jobs(), shop.purchases()) == ([], [])


async def test_inside_no_worker_waits_for_the_transaction_that_begins_it(
    shop: Shop, kind: Kind
) -> None:
    async with application(shop.url, "inside") as app, kind(shop.url) as connection:

        @app.task
        async def double(n: int) -> int:
            return 2 * n

        await connection.buy(1)
        handle = await connection.enqueue(double.job(1))
        assert shop.purchases() == []
        await connection.commit()

        assert await app.result_async(handle, timeout=60) == 2
