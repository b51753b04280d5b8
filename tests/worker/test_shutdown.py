"""Signals: nothing is lost, nothing runs twice, and what has not been started is given back."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter

import psycopg
import pytest

from pgqueue import App, enqueue
from pgqueue.jobs.job import State
from tests.worker import shop as tasks
from tests.worker.conftest import Start, Work, looks_seldom
from tests.worker.process import Shop, eventually, soon
from tests.worker.store import Store, becomes


def test_finishes_what_runs_and_leaves_the_rest(start: Start, store: Store, shop: Shop) -> None:
    handles = store.enqueue(*[tasks.pack.job() for _ in range(250)])
    worker = start(concurrency=100)
    eventually(lambda: len(shop.marks("start")) == 100)

    worker.send(signal.SIGTERM)
    worker.logs("SIGTERM: finishing what runs")
    shop.open()

    assert worker.ends() == 0
    ended = {mark.job for mark in shop.marks("end")}
    assert {mark.job for mark in shop.marks("start")} == ended
    assert len(shop.marks("end")) == len(ended) < 250
    for job in store.jobs(handles):
        if job.id in ended:
            assert (job.state, job.attempt) == (State.COMPLETED, 1)
        else:
            assert (job.state, job.attempt, job.lease) == (State.AVAILABLE, 0, None)
    assert store.value("SELECT count(*) FROM pgqueue.worker") == 0


def test_leaves_nothing_in_its_hands_whenever_it_is_stopped(
    start: Start, store: Store, shop: Shop
) -> None:
    handles = store.enqueue(*[tasks.ring.job() for _ in range(8_000)])
    stopped_in_between = 0
    while not store.all_finished(handles):
        worker = start(concurrency=20)
        before = len(shop.marks())
        worker.started()
        eventually(lambda: len(shop.marks()) >= min(before + 800, 8_000))  # noqa: B023
        worker.send(signal.SIGTERM)
        assert worker.ends() == 0
        states = Counter(job.state for job in store.jobs(handles))
        assert set(states) <= {State.AVAILABLE, State.COMPLETED}
        assert states[State.COMPLETED] == len(shop.marks())
        stopped_in_between += states[State.AVAILABLE] > 0

    assert stopped_in_between
    assert max(Counter(mark.job for mark in shop.marks()).values()) == 1


def test_takes_back_what_is_still_running_after_the_grace_period(
    start: Start, store: Store, shop: Shop
) -> None:
    worker = start(grace=0.5)
    looking, deaf = tasks.weigh.job(), tasks.weigh.job(looks=False)
    handles = store.enqueue(tasks.pack.job(), looking, deaf, tasks.print_label.job())
    eventually(lambda: len(shop.marks("start")) == 4)

    worker.send(signal.SIGTERM)

    assert worker.ends() == 0
    worker.logs("4 jobs are still running after the grace period")
    assert [mark.job for mark in shop.marks("interrupted")] == [handles[0].id]
    for job in store.jobs(handles):
        assert (job.state, job.attempt, job.rescues) == (State.AVAILABLE, 0, 0)
        assert not job.errors


def test_stops_at_once_at_the_second_signal(start: Start, store: Store, shop: Shop) -> None:
    worker = start(grace=300)
    handles = store.enqueue(tasks.pack.job(), tasks.weigh.job(looks=False))
    eventually(lambda: len(shop.marks("start")) == 2)

    worker.send(signal.SIGINT)
    worker.logs("SIGINT: finishing what runs")
    worker.send(signal.SIGINT)

    assert worker.ends() == 0
    assert "after the grace period" not in worker.log
    for job in store.jobs(handles):
        assert (job.state, job.attempt) == (State.AVAILABLE, 0)


def test_stops_while_it_still_waits_for_the_database(start: Start, shop: Shop) -> None:
    worker = start(url="postgresql://nobody@/none?host=/nonexistent")
    worker.logs("the database is away")

    worker.send(signal.SIGTERM)

    assert worker.ends() == 0


def test_reports_what_finished_although_somebody_holds_it(
    start: Start, store: Store, shop: Shop
) -> None:
    worker = start(grace=10)
    [handle] = store.enqueue(tasks.pack.job())
    eventually(lambda: shop.marks("start"))
    with psycopg.connect(store.url) as connection:
        enqueue(connection, tasks.ring.job().after(handle))
        shop.open()
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        eventually(lambda: store.value(waits))
        eventually(lambda: not store.value(waits))  # and has put it aside

        worker.send(signal.SIGTERM)
        worker.logs("SIGTERM")

    assert worker.ends() == 0
    assert store.job(handle).state == State.COMPLETED


@pytest.mark.parametrize("repeat", range(3))
def test_drains_until_nothing_could_run_now(
    repeat: int, start: Start, store: Store, shop: Shop
) -> None:
    due = tasks.ring.job().options(delay=0.05)
    chain = [tasks.ring.job()]
    for _ in range(20):
        chain.append(tasks.ring.job().after(chain[-1]))
    handles = store.enqueue(*chain, due)
    [later] = store.enqueue(tasks.ring.job().options(delay=3600))
    is_due = "SELECT run_at < clock_timestamp() FROM pgqueue.job WHERE id = %s"
    eventually(lambda: store.value(is_due, handles[-1].id))

    worker = start(drain=True)

    assert worker.ends() == 0
    assert store.all_finished(handles), (worker.log, [job.state for job in store.jobs(handles)])
    assert store.job(later).state == State.SCHEDULED


async def test_drains_soon_after_a_long_job_ended(app: App, work: Work, store: Store) -> None:
    gate = asyncio.Event()

    @app.task
    async def wait() -> None:
        await gate.wait()

    handle = await app.enqueue_async(wait.job())
    worker = await work(drain=True, poll_interval=300)
    await becomes(app, handle, "running")
    await looks_seldom(worker)

    gate.set()

    await soon(lambda: not store.value("SELECT count(*) FROM pgqueue.worker"))
    assert store.all_finished([handle])
