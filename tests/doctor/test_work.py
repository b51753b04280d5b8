"""Workers, queues and jobs: made sick, found, cured."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgqueue import operations
from pgqueue.jobs.schedules.rows import NEVER, ScheduleRow
from pgqueue.jobs.tally import Series
from pgqueue.operations import ScheduleWrite
from pgqueue.operations.tallying import MINUTE, TallyRow, folding, minute_of, tally
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


def test_a_worker_that_somebody_has_made_quiet(look: Look, store: Store) -> None:
    worker = joined(store, name="till")
    store.do(operations.direct([worker], "quiet"))

    [finding] = look("workers")
    assert finding.level == "warning"
    assert finding.message == "till claims nothing, as somebody asked it to"
    assert "pgqueue workers resume till" in (finding.cure or "")
    store.do(operations.direct([worker], None))
    assert well(look("workers"))


def test_counts_that_no_leader_sums_up(look: Look, store: Store) -> None:
    began = datetime.now(UTC) - timedelta(hours=1, minutes=30)
    counted = Series("default", "task", {"completed": 3})
    store.do(tally([TallyRow(minute_of(began), MINUTE, 7, counted)]))
    assert well(look("tally"))  # nobody was there to do it

    joined(store, started_at=an_hour_ago() - timedelta(hours=3))

    [finding] = look("tally")
    assert finding.level == "warning"
    assert finding.message == f"what workers counted since {began:%H:%M} UTC is not summed up"
    store.carry(folding(datetime.now(UTC)))
    assert well(look("tally"))


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
    assert re.search(r"is due since (0:59:5|1:0)", finding.message)
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


def test_a_job_whose_task_no_worker_of_its_queue_knows(
    look: Look, store: Store, owner: psycopg.Connection[Any]
) -> None:
    joined(store, info={"concurrency": 5, "tasks": ["greet"]})
    store.enqueue(a_job(task="greet"), a_job(task="renamed"), a_job(task="renamed"))
    [finding] = look("tasks")
    assert finding.level == "warning"

    owner.execute(
        "UPDATE pgqueue.job "
        "SET run_at = run_at - interval '2 min', enqueued_at = enqueued_at - interval '1 day'"
    )
    assert [finding.level for finding in look("tasks")] == ["error"]
    store.release(*store.claim(limit=3), delay=timedelta(minutes=1), unknown=True)

    [finding] = look("tasks")
    assert finding.level == "error"
    since = re.search(r"since (.{19})", finding.message)
    assert since is not None
    late = datetime.now(UTC) - datetime.fromisoformat(since[1]).replace(tzinfo=UTC)
    assert timedelta(minutes=2) <= late < timedelta(minutes=5)
    assert well(look("waiting"))
    assert "no worker of default knows the task renamed, and 2 jobs wait" in finding.message
    assert "renamed" in (finding.cure or "")
    joined(store, info={"concurrency": 5, "tasks": ["renamed"]})
    assert well(look("tasks"))


def test_a_job_of_tomorrow_whose_task_nobody_knows_is_not_late(look: Look, store: Store) -> None:
    joined(store, info={"concurrency": 5, "tasks": ["greet"]})
    store.enqueue(a_job(task="renamed", delay=timedelta(days=1)))

    [finding] = look("tasks")
    assert (finding.level, "since" in finding.message) == ("warning", False)


def a_schedule(store: Store, name: str, **columns: Any) -> None:
    given = {"every_seconds": 3600.0, "job": {"task": "t"}, "source": "api", **columns}
    row = ScheduleRow(name=name, **given)
    assert store.schedule(ScheduleWrite(row, new=True, moved=True)) == {name}


def test_schedules_that_fire_no_more(look: Look, store: Store) -> None:
    assert look("schedules")[0].message == "there are none"
    a_schedule(store, "good", next_at=datetime.now(UTC) + timedelta(hours=1))
    a_schedule(store, "paused", next_at=an_hour_ago(), paused_at=an_hour_ago())
    assert well(look("schedules"))
    a_schedule(store, "bad", next_at=NEVER, problem="it says nothing")
    a_schedule(store, "never", next_at=NEVER)
    a_schedule(store, "over", next_at=NEVER, ends_at=an_hour_ago())

    bad, never = look("schedules")

    assert (bad.level, bad.message) == ("error", "bad fires no more: it says nothing")
    assert (never.level, never.message.split(" will")[0]) == ("warning", "never")


def test_schedules_that_nobody_fires(look: Look, store: Store) -> None:
    a_schedule(store, "late", next_at=an_hour_ago())

    [finding] = look("schedules")
    assert finding.level == "error"
    assert finding.message == "late should have fired a minute ago, and nobody leads"
    joined(store)
    assert "although somebody leads" in look("schedules")[0].message
    store.fire()
    assert well(look("schedules"))


def test_a_schedule_that_cannot_be_read(
    look: Look, store: Store, owner: psycopg.Connection[Any]
) -> None:
    a_schedule(store, "odd", next_at=an_hour_ago())
    owner.execute("UPDATE pgqueue.schedule SET changes = '{}', declared = '{\"job\": 7}'")

    assert "odd cannot be read" in look("schedules")[0].message
