"""The database goes and comes back: what runs goes on and is reported, and nobody is rescued."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from time import monotonic

import psycopg
import pytest

from pgqueue import embedded
from pgqueue.embedded import Server
from pgqueue.embedded.server import Mode
from pgqueue.jobs.job import State
from tests.databases import migrate
from tests.worker import shop as tasks
from tests.worker.conftest import Start
from tests.worker.process import Shop, eventually
from tests.worker.store import Store

RESCUED_WITHIN = 6.0  # those who are away have ten seconds


@pytest.fixture
def server() -> Iterator[Server]:
    with embedded.start(ephemeral=True, options={"log_connections": "on"}) as server:
        migrate(server.url)
        yield server


@pytest.fixture
def postgres_url(server: Server) -> str:
    return server.url


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_jobs_in_hand_finish_and_are_reported(
    mode: Mode, server: Server, start: Start, store: Store, shop: Shop
) -> None:
    first, second = start(), start()
    first.started()
    second.started()
    handles = store.enqueue(*[tasks.pack.job() for _ in range(100)])
    eventually(lambda: len(shop.marks("start")) == 100)
    store.value("SELECT pg_current_wal_flush_lsn() FROM pg_switch_wal()")  # claims are on disk

    server.restart(mode)
    shop.open()

    eventually(lambda: store.all_finished(handles))
    for job in store.jobs(handles):
        assert (job.state, job.attempt, job.rescues, job.errors) == ("completed", 1, 0, ())
    assert len(shop.marks("start")) == len(shop.marks("end")) == 100
    more = store.enqueue(*[tasks.ring.job() for _ in range(100)])
    eventually(lambda: store.all_finished(more))
    for worker in (first, second):
        assert not re.search("rescued|lease was lost|too late|Traceback", worker.log), worker.log
        worker.send(signal.SIGTERM)
        assert worker.ends() == 0


@pytest.mark.parametrize("victim", ["the leader", "a follower"])
def test_the_jobs_of_a_worker_that_is_killed_soon_after_a_restart_do_not_wait_for_those_away(
    victim: str, server: Server, start: Start, store: Store, shop: Shop
) -> None:
    """It was back, so nobody waits for it to come back."""
    leader = start(concurrency=20)
    leader.logs("leads")
    follower = start(queues="other").started()
    killed, other = (leader, follower) if victim == "the leader" else (follower, leader)
    queue = "default" if killed is leader else "other"
    handles = store.enqueue(*[tasks.pack.job().options(queue=queue) for _ in range(5)])
    eventually(lambda: len(shop.marks("start")) == 5)
    third = start(queues="other,default", concurrency=20).started()
    server.restart("fast")
    since = "session AND heartbeat_at > pg_postmaster_start_time()"
    eventually(lambda: store.value(f"SELECT count(*) FROM pgqueue.worker WHERE {since}") == 3)

    killed.kill()
    killed_at = monotonic()
    eventually(lambda: len(shop.marks("start")) == 10)

    took = monotonic() - killed_at
    print(f"{victim} was killed, its jobs ran {took:.2f} s later")
    assert took < RESCUED_WITHIN
    shop.open()
    eventually(lambda: store.all_finished(handles))
    for worker in (other, third):
        worker.send(signal.SIGTERM)
        assert worker.ends() == 0


def test_says_once_that_the_database_is_away_and_once_that_it_is_back(
    server: Server, start: Start, store: Store, shop: Shop
) -> None:
    worker = start(heartbeat_interval=0.5, term=1)
    worker.logs("leads")
    handles = store.enqueue(tasks.pack.job(), tasks.pack.job())
    eventually(lambda: len(shop.marks("start")) == 2)

    server.kill()
    worker.logs("the database is away")
    shop.open()
    eventually(lambda: len(shop.marks("end")) == 2)
    server.start()
    worker.logs("the database is back")

    eventually(lambda: store.all_finished(handles))
    [later] = store.enqueue(tasks.ring.job())
    eventually(lambda: store.all_finished([later]))
    worker.send(signal.SIGTERM)
    assert worker.ends() == 0
    assert worker.log.count("the database is away") == 1
    assert worker.log.count("the database is back") == 1


def test_starts_when_the_database_does(server: Server, start: Start) -> None:
    server.kill()
    worker = start()
    worker.logs("the database is away")

    server.start()

    worker.started()
    assert worker.log.count("the database is away") == 1


def test_waits_while_the_database_may_only_be_read(
    server: Server, start: Start, store: Store, shop: Shop
) -> None:
    worker = start().started()
    store.value("ALTER SYSTEM SET default_transaction_read_only = on")
    store.value("SELECT pg_reload_conf()")
    worker.logs("the database is away")
    with psycopg.connect(server.url, options="-c default_transaction_read_only=off") as admin:
        admin.autocommit = True
        tries = server.log.count("connection authorized")

        def tries_again() -> bool:
            assert server.log.count("connection authorized") > tries + 5, worker.log
            return True

        eventually(tries_again)
        admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
        admin.execute("SELECT pg_reload_conf()")

    worker.logs("the database is back")
    [handle] = store.enqueue(tasks.ring.job())
    eventually(lambda: store.all_finished([handle]))
    assert store.job(handle).state == State.COMPLETED
    assert worker.log.count("the database is away") == 1
