"""Killed and frozen workers: their jobs soon run elsewhere; nobody hears what they still say."""

from __future__ import annotations

import os
import signal
from itertools import count
from time import monotonic

import pytest

from pgqueue.jobs.job import State
from tests.worker import shop as tasks
from tests.worker.conftest import Start
from tests.worker.process import Shop, eventually, least
from tests.worker.store import Store

RESCUED_WITHIN = 5.0


@pytest.fixture(autouse=True)
def _server_that_runs_for_a_while(store: Store) -> None:
    """After a server's start everybody has ten seconds to come back before he is taken for dead."""
    age = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())"
    eventually(lambda: store.value(age) > 10)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", ["the leader", "a follower"])
async def test_runs_the_jobs_of_a_killed_worker_elsewhere(
    victim: str, start: Start, store: Store, shop: Shop
) -> None:
    gates = (f"gate{n}" for n in count())

    async def runs_elsewhere_after() -> float:
        leader, gate = start(), next(gates)
        leader.logs("leads")
        follower = start(queues="other,default").started()
        killed, other = (leader, follower) if victim == "the leader" else (follower, leader)
        other.send(signal.SIGSTOP)
        before = len(shop.marks("start"))
        handles = store.enqueue(*[tasks.pack.job(gate) for _ in range(20)])
        eventually(lambda: len(shop.marks("start")) == before + 20)
        other.send(signal.SIGCONT)
        if victim == "a follower":  # the leader looks for work every five seconds only, by now
            age = "SELECT extract(epoch FROM clock_timestamp() - max(claimed_at)) FROM pgqueue.job"
            eventually(lambda: store.value(age) > 5.5)

        killed.kill()
        killed_at = monotonic()
        eventually(lambda: len(shop.marks("start")) == before + 40)
        took = monotonic() - killed_at
        print(f"{victim} was killed, its jobs ran {took:.2f} s later")
        shop.open(gate)
        eventually(lambda: store.all_finished(handles))
        for job in store.jobs(handles):
            assert (job.state, job.attempt, job.rescues) == ("completed", 1, 1)
            assert job.worker == other.worker
            [error] = job.errors
            assert (error.type, error.worker) == ("WorkerLost", killed.worker)
        other.send(signal.SIGTERM)
        assert other.ends() == 0
        return took

    within = 3.0 if victim == "the leader" else 2.5
    await least(runs_elsewhere_after, below=within, tries=3)


@pytest.mark.timeout(300)
async def test_rescues_its_own_jobs_when_it_is_the_only_worker_and_starts_again(
    start: Start, store: Store, shop: Shop
) -> None:
    worker = start()
    [handle] = store.enqueue(tasks.pack.job())
    eventually(lambda: shop.marks("start"))

    async def rescued_after() -> float:
        nonlocal worker
        before = len(shop.marks("start"))
        worker.kill()
        worker = start().started()
        started_at = monotonic()
        eventually(lambda: len(shop.marks("start")) == before + 1)
        took = monotonic() - started_at
        print(f"rescued {took:.2f} s after the next start")
        assert store.job(handle).worker == worker.worker
        return took

    await least(rescued_after, below=RESCUED_WITHIN, tries=3)


def test_discards_a_job_that_kills_its_worker_again_and_again(
    start: Start, store: Store, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_MAX_RESCUES", "1")
    [handle] = store.enqueue(tasks.kill_the_worker.job())

    for _ in range(2):
        assert start().ends() == -signal.SIGKILL
    start()

    job = eventually(lambda: store.all_finished([handle]) and store.job(handle))
    assert job.state == State.DISCARDED
    assert job.rescues == 2
    assert "killed its worker 2 times" in (job.reason or "")
    assert len(shop.marks("start")) == 2


def test_goes_on_when_a_process_of_its_pool_is_killed(
    start: Start, store: Store, shop: Shop
) -> None:
    worker = start(pool_processes=1).started()
    [doomed] = store.enqueue(tasks.print_label.job().options(max_attempts=1))
    [mark] = eventually(lambda: shop.marks("start"))
    assert mark.pid != worker.pid
    [waiting] = store.enqueue(tasks.print_label.job())

    os.kill(mark.pid, signal.SIGKILL)

    job = eventually(lambda: store.all_finished([doomed]) and store.job(doomed))
    assert job.state == State.DISCARDED
    assert "ProcessDied" in (job.reason or "")
    assert "exit code -9" in (job.reason or "")
    shop.open()
    eventually(lambda: store.all_finished([waiting]))
    assert store.job(waiting).state == State.COMPLETED


def test_does_not_hear_what_a_frozen_worker_says_when_it_thaws(
    start: Start, store: Store, shop: Shop
) -> None:
    soon = {"heartbeat_interval": 0.3, "frozen_after": 1.5, "term": 1.5}
    frozen = start(**soon)
    frozen.logs("leads")
    [handle] = store.enqueue(tasks.pack.job("early"))
    eventually(lambda: shop.marks("start"))

    frozen.send(signal.SIGSTOP)
    other = start(**soon).started()
    eventually(lambda: len(shop.marks("start")) == 2)
    shop.open("early")
    job = eventually(lambda: store.all_finished([handle]) and store.job(handle))
    frozen.send(signal.SIGCONT)
    frozen.logs("its lease was lost|finished too late")

    assert job.worker == other.worker
    assert job.rescues == 1
    assert store.job(handle) == job
    other.send(signal.SIGTERM)
    assert other.ends() == 0
    [later] = store.enqueue(tasks.ring.job())
    assert eventually(lambda: store.all_finished([later]) and store.job(later)).worker
    assert store.job(later).worker != other.worker  # the one that thawed, under a name of its own
