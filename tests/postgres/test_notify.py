"""NOTIFY only when somebody sleeps; and never before the commit, nor into another schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from time import monotonic
from typing import Any, TypeAlias

import psycopg
import pytest

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.backends.postgres.session import PostgresSession
from pgqueue.errors import StoreUnavailable
from pgqueue.statements.files import in_schema, schema_files
from pgqueue.testing.conformance import NOON, Store, a_job, until
from tests.postgres.conftest import Racers

Sleeper: TypeAlias = Callable[..., Awaitable[PostgresSession]]


class Wire:
    """What is notified at all, whoever sleeps; commands on it make sure that all has arrived."""

    def __init__(self, connection: psycopg.Connection[Any], channel: str) -> None:
        self._connection = connection
        self._heard: list[str] = []
        connection.add_notify_handler(lambda notify: self._heard.append(notify.payload))
        connection.execute(f"LISTEN {channel}".encode())

    def heard(self) -> list[str]:
        """The topics since the last time. A session's own NOTIFY comes behind those before it."""
        self._connection.execute(
            "SELECT pg_notify(channel, 'end') FROM pg_listening_channels() AS channel"
        )
        until(self._has_heard_the_end)
        heard, self._heard[:] = self._heard[:-1], []
        return heard

    def _has_heard_the_end(self) -> bool:
        self._connection.execute("SELECT")
        return self._heard[-1:] == ["end"]


@pytest.fixture
async def sleeper(backend: PostgresBackend) -> AsyncIterator[Sleeper]:
    """Opens sessions that sleep on topics; *woken* of each has the topics it heard."""
    async with AsyncExitStack() as stack:

        async def make(*topics: str, woken: list[str] | None = None) -> PostgresSession:
            session = backend.session((woken if woken is not None else []).append, lambda: None)
            await session.open()
            stack.push_async_callback(session.close)
            await session.subscribe(topics)
            return session

        yield make


@pytest.fixture
def wire(backend: PostgresBackend, store: Store) -> Any:
    with psycopg.connect(backend.url, autocommit=True) as connection:
        yield Wire(connection, "pgqueue")


def enqueues(store: Store, *jobs: Any) -> None:
    """As an application does, in a transaction of its own."""
    with store.backend.transaction() as executor:
        carry_out(operations.enqueue(jobs, notify=True, now=store.now), executor.execute)


async def test_nobody_is_notified_while_nobody_sleeps(store: Store, wire: Wire) -> None:
    enqueues(store, a_job(), a_job(unique="k"), a_job(delay=timedelta(seconds=1)))
    store.passes(seconds=1)
    store.promote()
    store.fail(store.take())
    store.release(store.take())
    store.work()
    store.resume()

    assert wire.heard() == []


async def test_a_sleeper_is_told_of_its_queue(store: Store, wire: Wire, sleeper: Sleeper) -> None:
    await sleeper("mail")
    enqueues(store, a_job(queue="mail"), a_job(queue="mail"), a_job(queue="other"))
    enqueues(store, a_job(queue="mail", unique="k"))

    assert wire.heard() == ["mail", "mail"]


async def test_whoever_is_awake_again_is_not_told(
    store: Store, wire: Wire, sleeper: Sleeper
) -> None:
    session = await sleeper("mail", "other")
    await session.subscribe(["other"])
    enqueues(store, a_job(queue="mail"), a_job(queue="other"))

    assert wire.heard() == ["other"]
    await session.subscribe([])
    enqueues(store, a_job(queue="mail"), a_job(queue="other"))
    assert wire.heard() == []


async def test_one_may_wake_while_another_sleeps(
    store: Store, wire: Wire, sleeper: Sleeper
) -> None:
    first, second = await sleeper("mail"), await sleeper("mail")
    await first.subscribe([])
    enqueues(store, a_job(queue="mail"))
    assert wire.heard() == ["mail"]

    await second.subscribe([])
    enqueues(store, a_job(queue="mail"))
    assert wire.heard() == []


async def test_two_sleepers_are_told_at_once(store: Store, sleeper: Sleeper) -> None:
    first: list[str] = []
    second: list[str] = []
    await sleeper("mail", woken=first)
    await sleeper("mail", woken=second)
    enqueues(store, a_job(queue="mail"))

    await eventually(lambda: first == second == ["mail"])


async def test_nobody_is_told_when_the_sleeper_has_died(
    store: Store, backend: PostgresBackend, wire: Wire, sleeper: Sleeper
) -> None:
    session = await sleeper("mail")
    await session.close()
    with psycopg.connect(backend.url, autocommit=True) as watcher:
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database <> 0"
        until(lambda: watcher.execute(locks).fetchall() == [(0,)])
    enqueues(store, a_job(queue="mail"))

    assert wire.heard() == []


async def test_a_sleeper_is_told_after_the_commit(
    store: Store, wire: Wire, sleeper: Sleeper, racer: Racers
) -> None:
    await sleeper("mail")
    user = await racer()
    await user.carry(operations.enqueue([a_job(queue="mail")], now=NOON))
    assert wire.heard() == []
    await user.commit()
    assert wire.heard() == ["mail"]

    await user.carry(operations.enqueue([a_job(queue="mail")], now=NOON))
    await user.rollback()
    assert wire.heard() == []


async def test_a_client_that_wakes_by_itself_does_not_notify_in_its_transaction(
    store: Store, wire: Wire, sleeper: Sleeper
) -> None:
    await sleeper("mail")
    store.carry(operations.enqueue([a_job(queue="mail")], notify=False, now=NOON))
    assert wire.heard() == []

    store.do(operations.wake(["mail", "other"]))
    assert wire.heard() == ["mail"]


async def test_the_sql_door_wakes_too(
    store: Store, backend: PostgresBackend, wire: Wire, sleeper: Sleeper
) -> None:
    await sleeper("mail", "@")
    with psycopg.connect(backend.url) as user:
        user.execute("SELECT pgqueue.enqueue('t', queue => 'mail')")
        user.execute("SELECT pgqueue.enqueue('t', queue => 'mail', delay => '1 second')")
        user.execute("SELECT pgqueue.enqueue('t', queue => 'mail', delay => '1 hour')")
        assert wire.heard() == []
    assert wire.heard() == ["mail", "@"]


async def test_whatever_makes_a_job_available_wakes_its_queue(
    store: Store, wire: Wire, sleeper: Sleeper
) -> None:
    await sleeper("default")

    def wakes(doing: Callable[[], object]) -> None:
        doing()
        assert wire.heard() == ["default"]

    later = store.add(a_job(delay=timedelta(hours=1)))
    wakes(lambda: store.retry(later))
    job = store.take()
    wakes(lambda: store.fail(job))
    job = store.take()
    wakes(lambda: store.release(job))
    parent = store.take()
    store.add(a_job().after(parent.id))
    wakes(lambda: store.complete(parent))
    job = store.take()
    store.fail(job, retry_in=timedelta(minutes=5))
    store.passes(minutes=5)
    wakes(store.promote)
    job = store.take(by=store.join().worker)
    store.passes(minutes=2)
    store.heartbeat()
    wakes(store.rescue)
    store.pause()
    wakes(store.resume)
    job = store.take()
    store.complete(job)
    wakes(lambda: store.retry(job))


async def test_nobody_is_told_of_a_child_that_is_cancelled_with_its_parent(
    store: Store, wire: Wire, sleeper: Sleeper
) -> None:
    await sleeper("spoiled", "freed")
    parent = store.running()
    store.enqueue(
        a_job(queue="spoiled").after(parent.id),
        a_job(queue="freed").after(parent.id, on_failure="run"),
    )
    store.discard(parent)

    assert wire.heard() == ["freed"]


async def test_the_promoter_is_told_of_what_is_due_soon(
    store: Store, wire: Wire, sleeper: Sleeper
) -> None:
    await sleeper("@")
    soon, late = timedelta(seconds=29), timedelta(seconds=31)
    enqueues(store, a_job(delay=late))
    job = store.running()
    store.release(job, delay=late)
    assert wire.heard() == []

    enqueues(store, a_job(delay=soon), a_job(run_at=NOON + soon))
    assert wire.heard() == ["@"]
    job = store.running()
    store.fail(job, retry_in=soon)
    assert wire.heard() == ["@"]
    job = store.running()
    store.release(job, delay=soon)
    assert wire.heard() == ["@"]


async def test_whoever_waits_for_a_result_is_told(
    store: Store, wire: Wire, sleeper: Sleeper
) -> None:
    jobs = [store.running() for _ in range(3)]
    await sleeper("#", f"#{jobs[0].id}", f"#{jobs[2].id}")
    store.complete(jobs[0], jobs[1])
    assert wire.heard() == [f"#{jobs[0].id}"]

    store.discard(jobs[2])
    assert wire.heard() == [f"#{jobs[2].id}"]


async def test_a_worker_is_told_at_once_to_cancel(store: Store, wire: Wire) -> None:
    """Asleep or not: it is running the job."""
    job, waiting = store.running(), store.add()
    store.cancel(job, waiting)

    assert wire.heard() == [f"!{store.worker}"]


async def test_a_session_hears_while_it_is_idle_and_while_it_works(
    store: Store, sleeper: Sleeper
) -> None:
    woken: list[str] = []
    session = await sleeper("mail", woken=woken)
    enqueues(store, a_job(queue="mail"))
    await eventually(lambda: woken == ["mail"])

    enqueues(store, a_job(queue="mail"))
    await session.check()
    await eventually(lambda: woken == ["mail", "mail"])


async def test_a_session_notices_that_it_has_lost_its_connection(
    backend: PostgresBackend, sleeper: Sleeper
) -> None:
    lost = asyncio.Event()
    session = backend.session(lambda topic: None, lost.set)
    await session.open()
    with psycopg.connect(backend.url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    await asyncio.wait_for(lost.wait(), timeout=15)
    with pytest.raises(StoreUnavailable):
        await session.check()
    await session.open()
    await session.check()
    await session.close()


async def test_a_session_that_listens_no_more_is_deaf(sleeper: Sleeper) -> None:
    session = await sleeper()
    await session.check()
    connection = session._connection.connection
    assert connection is not None
    await connection.execute("UNLISTEN *")

    with pytest.raises(StoreUnavailable):
        await session.check()


async def test_schemas_do_not_wake_each_other(
    store: Store, backend: PostgresBackend, wire: Wire, sleeper: Sleeper
) -> None:
    with psycopg.connect(backend.url) as connection:
        for file in schema_files("postgres"):
            connection.execute(in_schema(file.up, "other").encode())
    other = PostgresBackend(backend.url, schema="other")
    elsewhere = Store(other)
    with psycopg.connect(backend.url, autocommit=True) as connection:
        others = Wire(connection, "other")
        await sleeper("mail")
        enqueues(elsewhere, a_job(queue="mail"))
        assert (wire.heard(), others.heard()) == ([], [])

        enqueues(store, a_job(queue="mail"))
        assert (wire.heard(), others.heard()) == (["mail"], [])

        session = other.session(lambda topic: None, lambda: None)
        await session.open()
        await session.subscribe(["mail"])
        enqueues(elsewhere, a_job(queue="mail"))
        assert (wire.heard(), others.heard()) == ([], ["mail"])
        await session.close()
    other.close()


async def test_presence_is_by_schema(store: Store, backend: PostgresBackend) -> None:
    with psycopg.connect(backend.url) as connection:
        for file in schema_files("postgres"):
            connection.execute(in_schema(file.up, "other").encode())
    other = PostgresBackend(backend.url, schema="other")
    elsewhere = Store(other)
    session = other.session(lambda topic: None, lambda: None)
    await session.open()
    await session.present(elsewhere.worker)
    for each in (store, elsewhere):
        each.has_session(each.worker)
        each.rescue()
        each.passes(seconds=5)

    assert elsewhere.rescue().workers == 1
    assert store.rescue().workers == 0
    await session.close()
    other.close()


async def eventually(condition: Callable[[], bool]) -> None:
    """Lets the event loop run until *condition* holds."""
    deadline = monotonic() + 15
    while not condition():
        assert monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.005)
