"""Workers, queues and jobs: made sick, found, cured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgqueue.testing.conformance import Store, a_job
from tests.cli.terminal import Terminal
from tests.doctor.conftest import Look, well


def an_hour_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


def joined(store: Store, **profile: Any) -> int:
    """A worker of the queue default that has just joined, and leads."""
    given = {"started_at": datetime.now(UTC), "info": {"concurrency": 5}, **profile}
    store.worker = store.join(**given).worker
    store.elect(store.worker)
    return store.worker


def test_workers_that_share_a_name(look: Look, store: Store) -> None:
    first, second = joined(store, name="till"), joined(store, name="till")

    [finding] = look("workers")
    assert finding.level == "warning"
    assert finding.message == f"workers {first}, {second} are all called till"
    assert "--name" in (finding.cure or "")
    store.leave(second)
    assert well(look("workers"))


def test_a_worker_that_says_nothing(
    look: Look, store: Store, owner: psycopg.Connection[Any]
) -> None:
    worker = joined(store)
    owner.execute("UPDATE pgqueue.worker SET heartbeat_at = heartbeat_at - interval '2 min'")

    [finding] = look("workers")
    assert finding.level == "warning"
    assert f"worker {worker} (test) says nothing" in finding.message
    store.heartbeat()
    assert well(look("workers"))


def test_workers_nobody_leads(look: Look, store: Store) -> None:
    worker = joined(store, started_at=an_hour_ago())
    store.resign(worker)

    [finding] = look("workers")
    assert finding.level == "error"
    assert "nobody leads" in finding.message
    store.elect(worker)
    assert well(look("workers"))


@pytest.mark.parametrize("level", ["warning", "error"])
def test_a_queue_nobody_serves(look: Look, store: Store, level: str) -> None:
    store.add(a_job(run_at=an_hour_ago()) if level == "error" else a_job())

    [finding] = look("queues")
    assert finding.level == level
    assert finding.message == "no worker serves default, and 1 jobs wait in it"
    assert "--queues default" in (finding.cure or "")
    joined(store)
    assert well(look("queues"))


def test_a_queue_that_is_paused(look: Look, store: Store, postgres_url: str) -> None:
    joined(store)
    store.add()
    store.pause()

    [finding] = look("queues")
    assert finding.level == "warning"
    assert finding.message == "default is paused, and 1 jobs wait in it"
    assert finding.cure
    Terminal(postgres_url).ok(*finding.cure.split()[1:])
    assert well(look("queues"))


def test_jobs_that_wait_although_workers_are_idle(look: Look, store: Store) -> None:
    joined(store)
    store.add(a_job(run_at=an_hour_ago()))

    [finding] = look("waiting")
    assert finding.level == "error"
    assert "a job of default is available since 1:00:0" in finding.message
    assert "pgqueue why" in (finding.cure or "")
    store.take()
    assert well(look("waiting"))


def test_jobs_that_wait_while_workers_are_busy_are_no_trouble(look: Look, store: Store) -> None:
    joined(store, info={"concurrency": 0})
    store.add(a_job(run_at=an_hour_ago()))

    assert well(look("waiting"))


def test_jobs_that_are_due_and_stay(
    look: Look, store: Store, owner: psycopg.Connection[Any]
) -> None:
    joined(store)
    store.add(a_job(delay=timedelta(seconds=1)))
    owner.execute("UPDATE pgqueue.job SET run_at = run_at - interval '1 hour'")

    [finding] = look("waiting")
    assert finding.level == "error"
    assert "is due since 0:59:5" in finding.message
    store.promote()
    store.take()
    assert well(look("waiting"))


def test_a_job_that_runs_on_a_worker_that_is_gone(
    look: Look, store: Store, owner: psycopg.Connection[Any]
) -> None:
    worker = joined(store)
    job = store.running()
    store.leave(worker)
    owner.execute("UPDATE pgqueue.job SET claimed_at = claimed_at - interval '2 min'")

    [finding] = look("stuck")
    assert finding.level == "error"
    assert finding.message == f"1 jobs run on workers that are gone, {job.id} is one"
    assert store.sweep().orphaned == 1
    assert well(look("stuck"))


def test_a_job_that_waits_for_what_has_finished(
    look: Look, store: Store, owner: psycopg.Connection[Any]
) -> None:
    child = store.bring("blocked")
    owner.execute("DELETE FROM pgqueue.job WHERE task = 'parent'")

    [finding] = look("stuck")
    assert finding.level == "error"
    assert finding.message == f"1 jobs wait for parents that have finished, {child} is one"
    assert store.sweep().stranded == 1
    assert well(look("stuck"))
