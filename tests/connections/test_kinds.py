"""`enqueue` through every kind of connection: in its transaction, and in no other."""

from __future__ import annotations

import pytest

from pgqueue import App, operations
from pgqueue.errors import InvalidJob
from pgqueue.operations import inspections
from pgqueue.testing import AsyncJobs, Jobs
from tests.connections.conftest import Shop
from tests.connections.kinds import Kind, OpenedAsync, OpenedInside

app = App()


@app.task
def ring(n: int = 0, text: str = "") -> None: ...


class GoneWrong(Exception): ...


REFUSED = ring.job(-1)


async def test_jobs_and_data_commit_together(shop: Shop, kind: Kind) -> None:
    async with kind(shop.url) as connection:
        first = await connection.enqueue(ring.job(1, text="100 % ☃ 'it' %s $1 :x"))
        await connection.buy(1)
        two = await connection.enqueue(ring.job(2), ring.job(3))
        assert [first.id + 1, first.id + 2] == [handle.id for handle in two]
        assert (shop.jobs(), shop.purchases()) == ([], [])
        await connection.commit()
        found = await connection.execute(inspections.get([first]))

    assert (shop.jobs(), shop.purchases()) == ([1, 2, 3], [1])
    assert found[first.id].args == {"n": 1, "text": "100 % ☃ 'it' %s $1 :x"}


async def test_jobs_and_data_are_rolled_back_together(shop: Shop, kind: Kind) -> None:
    async with kind(shop.url) as connection:
        await connection.enqueue(ring.job(1))
        await connection.buy(1)
        await connection.rollback()
        await connection.enqueue([ring.job(n) for n in range(1_200)])
        await connection.rollback()
        await connection.enqueue(ring.job(2))
        await connection.commit()

    assert (shop.jobs(), shop.purchases()) == ([2], [])


async def test_a_savepoint_takes_its_own_jobs_along_and_no_others(shop: Shop, kind: Kind) -> None:
    async with kind(shop.url) as connection:
        await connection.buy(1)
        await connection.enqueue(ring.job(1))
        with pytest.raises(GoneWrong):
            async with connection.savepoint():
                await connection.enqueue(ring.job(2), ring.job(3))
                raise GoneWrong
        async with connection.savepoint():
            await connection.enqueue(ring.job(4))
        await connection.commit()

    assert (shop.jobs(), shop.purchases()) == ([1, 4], [1])


async def test_in_autocommit_a_call_is_a_transaction_of_its_own(shop: Shop, kind: Kind) -> None:
    async with kind(shop.url, autocommit=True) as connection:
        await connection.enqueue(ring.job(1))
        assert shop.jobs() == [1]
        parent = ring.job(2)
        with pytest.raises(Exception, match=r"check|refused|no job"):
            await connection.enqueue(parent, ring.job(3).after(parent), REFUSED)
        assert shop.jobs() == [1]
        await connection.enqueue(parent, ring.job(3).after(parent))
        assert shop.jobs() == [1, 2, 3]
        await connection.run("BEGIN")
        await connection.enqueue(ring.job(4).after(await connection.enqueue(ring.job(5))))
        assert shop.jobs() == [1, 2, 3]
        await connection.run("ROLLBACK")

    assert shop.jobs() == [1, 2, 3]


async def test_an_error_inside_takes_nothing_else_along(shop: Shop, kind: Kind) -> None:
    async with kind(shop.url) as connection:
        await connection.buy(1)
        with pytest.raises(InvalidJob, match="no job 987654321"):
            await connection.enqueue(ring.job(1), ring.job(2).after(987654321))
        with pytest.raises(Exception, match=r"check|refused"):
            async with connection.savepoint():
                await connection.enqueue(ring.job(3), REFUSED)
        await connection.enqueue(ring.job(4))
        await connection.commit()

    assert (shop.jobs(), shop.purchases()) == ([4], [1])


async def test_a_unique_key_that_is_held_answers_with_its_holder(shop: Shop, kind: Kind) -> None:
    async with kind(shop.url) as connection:
        first = await connection.enqueue(ring.job(1).options(unique="once"))
        again, other = await connection.enqueue(ring.job(2).options(unique="once"), ring.job(3))
        await connection.commit()

    assert (again.id, again.created, other.created) == (first.id, False, True)
    assert shop.jobs() == [1, 3]


async def test_a_graph_is_enqueued_and_cancelled_whole(shop: Shop, kind: Kind) -> None:
    async with kind(shop.url) as connection:
        left, right = ring.job(1), ring.job(2)
        handles = await connection.enqueue(left, right, ring.job(3).after(left, right))
        ids = [handle.id for handle in handles]
        found = await connection.execute(inspections.get(ids))
        assert [found[id].state for id in ids] == ["available", "available", "blocked"]
        assert await connection.execute(operations.cancel(ids[:1])) == {ids[0]: "cancelled"}
        found = await connection.execute(inspections.get(ids))
        assert [found[id].state for id in ids] == ["cancelled", "available", "cancelled"]
        await connection.rollback()
        assert await connection.execute(inspections.get(ids)) == {}
        await connection.rollback()

    assert shop.jobs() == []


async def test_a_tests_own_jobs_are_found_and_run_before_any_commit(shop: Shop, kind: Kind) -> None:
    async with kind(shop.url) as connection:
        await connection.enqueue(ring.job(7))
        if isinstance(connection, OpenedAsync) and not isinstance(connection, OpenedInside):
            jobs = AsyncJobs(app, connection.connection)
            await jobs.assert_enqueued(ring, n=7)
            ran = await jobs.drain()
        elif isinstance(connection, OpenedInside):
            pytest.skip("what is inside run_sync is reached as AsyncJobs(app, async_session)")
        else:
            blocking = Jobs(app, connection.connection)
            blocking.assert_enqueued(ring, n=7)
            ran = blocking.drain()
        assert [performed.task for performed in ran] == ["ring"]
        await connection.rollback()

    assert shop.jobs() == []
