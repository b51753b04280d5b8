"""Who is alive: nobody is robbed because nobody could speak; who cannot speak claims nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from time import monotonic

import psycopg
import pytest
from sqlalchemy import make_url

from pgqueue import App, Context, embedded, operations
from pgqueue.jobs.job import State
from pgqueue.operations.leases import draw_block
from tests.databases import migrate
from tests.faults.proxy import Gate, Network
from tests.worker import shop as tasks
from tests.worker.conftest import Start, Work
from tests.worker.process import Shop, eventually, soon
from tests.worker.store import Store, ended

SOON = {"heartbeat_interval": 0.3, "frozen_after": 3, "term": 60}
AGE = "SELECT extract(epoch FROM clock_timestamp() - max(heartbeat_at)) FROM pgqueue.worker"
BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
  AND position('pgqueue.worker' IN query) > 0
"""


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Server]:
    with embedded.start(ephemeral=True, tcp=True) as server:
        migrate(server.url)
        yield server


@pytest.fixture
def postgres_url(server: embedded.Server) -> str:
    with psycopg.connect(server.url) as connection:
        connection.execute("TRUNCATE pgqueue.job, pgqueue.worker, pgqueue.leader, pgqueue.archive")
    return server.url


@pytest.fixture
def gate(server: embedded.Server) -> Iterator[Gate]:
    network = Network()
    yield network.gate(int(str(psycopg.conninfo.conninfo_to_dict(server.tcp_url)["port"])))
    network.close()


def through(gate: Gate, server: embedded.Server) -> str:
    url = make_url(server.tcp_url).set(port=gate.port)
    return url.render_as_string(hide_password=False)


def two_with_jobs(start: Start, store: Store, shop: Shop, **options: float) -> None:
    """A leader and a follower that both run jobs which end when the test says so."""
    leader = start(**SOON | options)
    leader.logs("leads")
    start(**SOON | options).started()
    store.enqueue(*[tasks.pack.job() for _ in range(20)])
    eventually(lambda: len(shop.marks("start")) == 20)
    store.value("SELECT pg_current_wal_flush_lsn() FROM pg_switch_wal()")  # claims are on disk


def rescued(store: Store) -> int:
    """How many jobs were taken from a worker; a job that waits for a second look counts too."""
    return int(store.value("SELECT coalesce(sum(rescues), 0) FROM pgqueue.jobs"))


def spoke_after(store: Store, seconds: float) -> None:
    """Returns when everybody has given a sign of life so long after now."""
    since = store.value("SELECT clock_timestamp()")
    everybody = "SELECT bool_and(heartbeat_at > %s + make_interval(secs => %s)) FROM pgqueue.worker"
    eventually(lambda: store.value(everybody, since, seconds))


def test_nobody_is_robbed_after_an_outage_longer_than_frozen_after(
    server: embedded.Server, start: Start, store: Store, shop: Shop
) -> None:
    two_with_jobs(start, store, shop)
    server.kill()
    down_at = monotonic()
    eventually(lambda: monotonic() - down_at > 2 * SOON["frozen_after"])  # the outage itself
    server.start()
    eventually(lambda: store.value("SELECT 1"))

    spoke_after(store, 4)

    assert rescued(store) == 0
    assert len(shop.marks("start")) == 20


def test_nobody_is_robbed_by_a_table_that_is_locked_for_longer(
    start: Start, store: Store, shop: Shop
) -> None:
    two_with_jobs(start, store, shop)
    with psycopg.connect(store.url) as holder:
        holder.execute("LOCK pgqueue.job IN ACCESS EXCLUSIVE MODE")
        spoke_after(store, 2 * SOON["frozen_after"])
    spoke_after(store, 1)

    assert rescued(store) == 0
    assert len(shop.marks("start")) == 20


def test_nobody_is_robbed_by_a_row_that_is_held_for_longer(
    start: Start, store: Store, shop: Shop
) -> None:
    two_with_jobs(start, store, shop)
    with psycopg.connect(store.url) as holder:
        holder.execute("SELECT FROM pgqueue.worker FOR UPDATE")
        eventually(lambda: store.value(AGE) > 3 * SOON["frozen_after"])
    spoke_after(store, 1)

    assert rescued(store) == 0
    assert len(shop.marks("start")) == 20


def test_nobody_is_robbed_by_a_clock_that_is_set_forward(
    start: Start, store: Store, shop: Shop
) -> None:
    """As it looks after that: all instants in the rows are ten minutes old."""
    two_with_jobs(start, store, shop, heartbeat_interval=5, frozen_after=30)

    store.value(
        "UPDATE pgqueue.worker SET heartbeat_at = heartbeat_at - interval '10 minutes',"
        " suspected_at = clock_timestamp() - interval '10 minutes'"
    )
    spoke_after(store, 4)

    assert rescued(store) == 0


def test_a_worker_whose_session_is_cut_says_elsewhere_that_it_lives(
    server: embedded.Server, gate: Gate, start: Start, store: Store, shop: Shop
) -> None:
    leader = start(queues="nothing", **SOON)
    leader.logs("leads")
    worker = start(listen_url=through(gate, server), **SOON).started()
    [held] = store.enqueue(tasks.pack.job())
    eventually(lambda: shop.marks("start"))

    gate.cut()
    session = "SELECT session FROM pgqueue.worker WHERE id = %s"
    eventually(lambda: store.value(session, worker.worker) is False)
    later = store.enqueue(*[tasks.ring.job() for _ in range(10)])
    eventually(lambda: store.all_finished(later))
    spoke_after(store, 4)
    gate.heal()
    eventually(lambda: store.value(session, worker.worker))
    shop.open()

    eventually(lambda: store.all_finished([held]))
    assert [job.rescues for job in store.jobs([held, *later])] == [0] * 11
    assert not [line for line in leader.log.splitlines() if "rescued" in line]
    worker.send(signal.SIGTERM)
    assert worker.ends() == 0


async def test_a_worker_that_cannot_say_that_it_lives_claims_nothing(
    app: App, work: Work, store: Store
) -> None:
    @app.task
    async def ring() -> None: ...

    worker = await work(heartbeat_interval=0.3, frozen_after=1, poll_interval=0.05)
    life = worker._agents.fetcher._life
    with psycopg.connect(store.url) as holder:
        holder.execute("SELECT FROM pgqueue.worker FOR UPDATE")
        await soon(lambda: not life.certain)
        [handle] = store.enqueue(ring.job())
        for _ in range(2):  # it tries again, and has had time to claim
            await soon(lambda: store.value(BLOCKED) == 1)
            await soon(lambda: store.value(BLOCKED) == 0)
        assert store.job(handle).state == State.AVAILABLE

    assert (await ended(app, handle)).state == State.COMPLETED


async def test_a_worker_that_may_be_taken_for_dead_starts_nothing_that_it_has_claimed(
    app: App, work: Work, store: Store
) -> None:
    gate = asyncio.Event()
    runs: list[int] = []

    @app.task
    async def pack(ctx: Context) -> None:
        runs.append(ctx.id)
        await gate.wait()

    worker = await work(concurrency=1, heartbeat_interval=0.3, frozen_after=1)
    executor, life = worker._agents.executor, worker._agents.fetcher._life
    executor._pace._rate = 1_000  # as after many quick jobs: some are held beyond the slots
    handles = await app.enqueue_async([pack.job() for _ in range(3)])
    await soon(lambda: len(executor.leases()) > 1 and runs)
    with psycopg.connect(store.url) as holder:
        holder.execute("SELECT FROM pgqueue.worker FOR UPDATE")
        await soon(lambda: not life.certain)
        held = len(executor.leases())
        gate.set()
        await soon(lambda: len(executor.leases()) < held)
        for _ in range(2):
            await soon(lambda: store.value(BLOCKED) == 1)
            await soon(lambda: store.value(BLOCKED) == 0)
        assert runs == [handles[0].id]

    for handle in handles:
        assert (await ended(app, handle)).state == State.COMPLETED


async def test_what_such_a_worker_hears_of_late_it_hands_back(
    app: App, work: Work, store: Store
) -> None:
    """A claim's answer may come, or be asked for again, when all else has been handed back."""

    @app.task(queue="late")
    async def pack() -> None: ...

    worker = await work(heartbeat_interval=0.3, frozen_after=1)
    executor, life, lapsed = worker._agents.executor, worker._agents.fetcher._life, asyncio.Event()
    hand_back = life.lapsed

    def then_noted() -> None:
        hand_back()
        lapsed.set()

    life.lapsed = then_noted
    [handle] = await app.enqueue_async([pack.job()])
    with psycopg.connect(store.url) as holder:
        holder.execute("SELECT FROM pgqueue.worker FOR UPDATE")
        await asyncio.wait_for(lapsed.wait(), 60)
        assert worker.id is not None
        jobs = await app.execute_async(operations.claim("late", worker.id, draw_block(), 1))

        executor.take(jobs, monotonic())

        await soon(lambda: store.jobs([handle])[0].state == State.AVAILABLE)
        assert not executor.busy


def test_what_such_a_worker_has_not_started_runs_elsewhere(
    start: Start, store: Store, shop: Shop
) -> None:
    worker = start(threads=1, **SOON).started()
    handles = store.enqueue(*[tasks.weigh.job() for _ in range(2)])
    eventually(lambda: shop.marks("start"))
    eventually(lambda: [job.state for job in store.jobs(handles)] == [State.RUNNING] * 2)
    with psycopg.connect(store.url) as holder:
        holder.execute("SELECT FROM pgqueue.worker WHERE id = %s FOR UPDATE", [worker.worker])
        start(threads=1, **SOON).started()

        eventually(lambda: len(shop.marks("start")) == 2)

        assert len({mark.pid for mark in shop.marks("start")}) == 2
        assert [job.attempt for job in store.jobs(handles)] == [1, 1]
        assert rescued(store) == 0
    shop.open()
    eventually(lambda: store.all_finished(handles))
    assert len(shop.marks("start")) == 2
