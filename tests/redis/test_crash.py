"""Killed workers and a server that is killed: nothing is lost."""

from __future__ import annotations

import signal
from time import monotonic

import pytest

from pgqueue import App
from pgqueue.jobs.job import FINISHED, Handle, Job, State
from pgqueue.operations import inspections
from tests.redis.conftest import Start
from tests.redis.proxy import Proxy
from tests.valkey import Valkey
from tests.worker import shop as tasks
from tests.worker.process import Shop, eventually

RESCUED_WITHIN = 5.0


@pytest.fixture
def app(durable: Valkey) -> App:
    return App(durable.url)


def jobs(app: App, handles: list[Handle[None]]) -> list[Job]:
    return list(app.execute(inspections.get(handles)).values())


@pytest.mark.parametrize("victim", ["the leader", "a follower"])
def test_runs_the_jobs_of_a_killed_worker_elsewhere(
    victim: str, start: Start, app: App, shop: Shop
) -> None:
    leader = start()
    leader.logs("leads")
    follower = start(queues="other,default").started()
    killed, other = (leader, follower) if victim == "the leader" else (follower, leader)
    other.send(signal.SIGSTOP)
    handles = app.enqueue([tasks.pack.job() for _ in range(20)])
    eventually(lambda: len(shop.marks("start")) == 20)
    other.send(signal.SIGCONT)

    killed.kill()
    killed_at = monotonic()
    eventually(lambda: len(shop.marks("start")) == 40, within=RESCUED_WITHIN)
    print(f"{victim} was killed, its jobs ran {monotonic() - killed_at:.2f} s later")

    shop.open()
    eventually(lambda: all(job.state in FINISHED for job in jobs(app, handles)))
    for job in jobs(app, handles):
        assert (job.state, job.attempt, job.rescues) == (State.COMPLETED, 1, 1)
        assert job.worker == other.worker
        [error] = job.errors
        assert (error.type, error.worker) == ("WorkerLost", killed.worker)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_lost_when_the_server_is_restarted_while_jobs_run(
    how: signal.Signals, start: Start, app: App, shop: Shop, durable: Valkey
) -> None:
    worker = start().started()
    running = app.enqueue([tasks.pack.job() for _ in range(10)])
    eventually(lambda: len(shop.marks("start")) == 10)
    waiting = app.enqueue([tasks.ring.job().after(*running) for _ in range(200)])
    scheduled = app.enqueue([tasks.ring.job().options(delay=1) for _ in range(10)])

    durable.stop(how)
    worker.logs("the database is away")
    shop.open()
    eventually(lambda: len(shop.marks("end")) == 10)
    durable.start()
    worker.logs("the database is back")

    handles = [*running, *waiting, *scheduled]
    eventually(lambda: all(job.state in FINISHED for job in jobs(app, handles)))
    assert {job.state for job in jobs(app, handles)} == {State.COMPLETED}
    # Nobody was taken for dead meanwhile, and nothing ran twice.
    assert {job.rescues for job in jobs(app, handles)} == {0}
    assert len(shop.marks("start")) == len(handles)


def test_a_worker_finishes_everything_over_a_line_that_breaks_again_and_again(
    start: Start, app: App, shop: Shop, proxy: Proxy
) -> None:
    proxy.cut_every(7)
    start(proxy.url).started()
    handles = app.enqueue([tasks.ring.job() for _ in range(300)])
    for _ in range(20):
        handles += app.enqueue([tasks.ring.job().after(handles[-1]) for _ in range(5)])

    eventually(lambda: all(job.state in FINISHED for job in jobs(app, handles)), within=60)

    assert {job.state for job in jobs(app, handles)} == {State.COMPLETED}
    assert len({mark.job for mark in shop.marks("start")}) == len(handles)
    assert proxy.cuts > 5
