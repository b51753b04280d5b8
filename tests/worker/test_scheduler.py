"""The leader fires schedules: on time, each instant once, whoever is killed or frozen meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg.types.json import Jsonb

from pgqueue import App, operations
from pgqueue.errors import InvalidSchedule
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.schedules.merging import change
from pgqueue.jobs.schedules.rows import NEVER, ScheduleRow
from pgqueue.jobs.schedules.schedule import Schedule
from pgqueue.jobs.schedules.timing import Timing
from pgqueue.operations import ScheduleWrite
from pgqueue.worker import Options, Worker
from tests.worker.conftest import Start, Work
from tests.worker.process import Shop, eventually, soon
from tests.worker.starting import has_started
from tests.worker.store import Store

FIRED = "SELECT count(*) FROM pgqueue.firing"
JOBS = "SELECT count(*) FROM pgqueue.jobs"
CLOCK = "SELECT clock_timestamp()"


def add(store: Store, *names: str, **columns: Any) -> None:
    """Schedules, of every hour unless they say otherwise, written as a person writes them."""
    given = {"every_seconds": 3600.0, "job": Jsonb({"task": "ring"}), **columns}
    with psycopg.connect(store.url) as connection:
        connection.cursor().executemany(
            f"INSERT INTO pgqueue.schedule (name, {', '.join(given)})"  # type: ignore[arg-type]
            f" VALUES (%s, {', '.join(['%s'] * len(given))})",
            [(name, *given.values()) for name in names],
        )


def read(store: Store, name: str) -> ScheduleRow:
    [row] = store.app.execute(operations.schedules([name])).rows
    return row


def lateness(store: Store) -> list[float]:
    """How many milliseconds after its instant each firing was written."""
    with psycopg.connect(store.url) as connection:
        rows = connection.execute(
            "SELECT extract(epoch FROM fired_at - instant) * 1000 FROM pgqueue.firing"
            " WHERE outcome = 'fired' ORDER BY 1"
        ).fetchall()
    return [float(ms) for (ms,) in rows]


# One leader


async def test_a_row_written_by_sql_fires_at_its_instants(
    work: Work, app: App, store: Store
) -> None:
    seen: list[int] = []

    @app.task
    async def ring(n: int) -> None:
        seen.append(n)

    await work()
    add(
        store,
        "s",
        every_seconds=1.0,
        overlap="allow",
        job=Jsonb({"task": "ring", "args": {"n": 7}}),
    )
    store.value("SELECT pgqueue.wake('@')")  # or within half a minute

    await soon(lambda: len(seen) >= 3)

    instants = store.app.execute(operations.firings("s", limit=100))
    spans = {later.instant - earlier.instant for later, earlier in pairwise(instants)}
    assert spans == {timedelta(seconds=1)}
    assert seen == [7] * len(seen)


async def test_a_schedule_that_is_written_wakes_the_leader(
    work: Work, app: App, store: Store
) -> None:
    worker = await work()
    await soon(lambda: "@" in worker._agents.listener._session._sleeps_on)
    worker._agents.promoter._gap = 300.0

    row = ScheduleRow(name="s", source="api", every_seconds=3600.0, job={"task": "t"})
    await app.execute_async(operations.schedule([ScheduleWrite(row, new=True)]))

    await soon(lambda: read(store, "s").next_at is not None, within=5)


async def test_an_idle_leader_asks_nothing_more_for_a_thousand_schedules(
    work: Work, app: App, store: Store
) -> None:
    add(store, *(f"s{n}" for n in range(1_000)), next_at=datetime.now(UTC) + timedelta(hours=1))
    asked: Counter[str] = Counter()
    worker = await work()
    scheduler = worker._agents.scheduler
    await soon(lambda: scheduler._due_at != float("inf") and scheduler._looked_at > 0)
    for line in (scheduler._line, worker._agents.listener.line):
        _count(line.connection, asked)
    await soon(lambda: asked["promote"] >= 3)

    assert not asked.keys() & {"due", "schedules", "advance", "fired", "schedule"}


def _count(connection: Any, asked: Counter[str]) -> None:
    execute = connection.execute

    async def counting(operation: Any) -> Any:
        asked[operation.name] += 1
        return await execute(operation)

    connection.execute = counting


async def test_what_cannot_be_read_has_a_problem_and_the_others_fire(
    work: Work, app: App, store: Store
) -> None:
    @app.task
    async def ring() -> None: ...

    add(store, "bad", cron="61 * * * *", every_seconds=None)
    add(store, "good", every_seconds=1.0)

    await work()

    await soon(lambda: lateness(store))
    bad = read(store, "bad")
    assert (bad.next_at, bool(bad.problem)) == (NEVER, True)
    store.value("UPDATE pgqueue.schedule SET cron = '* * * * *', next_at = NULL WHERE name = 'bad'")
    store.value("SELECT pgqueue.wake('@')")
    await soon(lambda: read(store, "bad").problem is None)


async def test_what_somebody_is_writing_holds_up_no_other(
    work: Work, app: App, store: Store
) -> None:
    @app.task
    async def ring() -> None: ...

    await work()
    at = store.value(CLOCK) + timedelta(seconds=2)
    add(store, *(f"s{n}" for n in range(20)), anchor=at, next_at=at)
    with psycopg.connect(store.url) as other:
        other.execute("SELECT FROM pgqueue.schedule WHERE name = 's7' FOR UPDATE")
        store.value("SELECT pgqueue.wake('@')")

        await soon(lambda: store.value(FIRED) == 19)
        other.commit()

    await soon(lambda: store.value(FIRED) == 20)


async def test_is_on_time(work: Work, app: App, store: Store) -> None:
    """The figure is printed: a busy machine makes it what it likes."""

    @app.task
    async def ring() -> None: ...

    await work()
    add(store, *(f"s{n}" for n in range(10)), every_seconds=1.0)
    store.value("SELECT pgqueue.wake('@')")

    await soon(lambda: len(lateness(store)) >= 50)

    late = lateness(store)
    p50, p99 = (late[len(late) * share // 100] for share in (50, 99))
    print(f"{len(late)} firings: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    assert late[0] >= 0
    assert p50 < 250


# Several leaders


@pytest.mark.timeout(300)
def test_ten_thousand_due_at_one_instant_fire_once_each_whoever_is_killed_or_frozen(
    start: Start, store: Store, shop: Shop
) -> None:
    names = [f"s{n:05}" for n in range(10_000)]
    at = store.value(CLOCK) + timedelta(seconds=6)
    job = Jsonb({"task": "ring", "queue": "nobody"})
    add(store, *names, anchor=at, next_at=at, job=job)
    workers = [start(term=1.5, queues="other") for _ in range(3)]
    for worker in workers:
        worker.started()
    eventually(lambda: store.value(FIRED) > 0)

    leading = "SELECT worker FROM pgqueue.leader"
    by_id = {worker.worker: worker for worker in workers}
    frozen = by_id[store.value(leading)]
    frozen.send(signal.SIGSTOP)
    eventually(lambda: store.value(leading) != frozen.worker)
    fired = store.value(FIRED)
    eventually(lambda: store.value(FIRED) > fired or store.value(FIRED) == 10_000)
    killed = by_id[store.value(leading)]
    frozen.send(signal.SIGCONT)
    killed.kill()
    eventually(lambda: store.value(FIRED) == 10_000, within=120)

    assert store.value(JOBS) == 10_000
    assert (
        store.value("SELECT count(DISTINCT metadata #>> '{schedule,name}') FROM pgqueue.jobs")
        == 10_000
    )
    assert (
        store.value("SELECT count(*) FROM pgqueue.firing JOIN pgqueue.jobs ON jobs.id = job_id")
        == 10_000
    )
    assert store.value("SELECT count(DISTINCT instant) FROM pgqueue.firing") == 1


@pytest.mark.parametrize("table", ["schedule", "firing", "job"])
def test_a_leader_that_is_killed_between_two_statements_has_done_all_or_nothing(
    table: str, start: Start, store: Store, shop: Shop
) -> None:
    """It waits for a lock, in the middle of its transaction, when it is killed."""
    add(
        store,
        "s",
        next_at=store.value(CLOCK),
        job=Jsonb({"task": "ring", "queue": "nobody"}),
        every_seconds=86_400.0,
    )
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with psycopg.connect(store.url) as other:
        mode = "EXCLUSIVE" if table == "schedule" else "SHARE"
        other.execute(f"LOCK TABLE pgqueue.{table} IN {mode} MODE".encode())
        victim = start(queues="other").started()
        eventually(lambda: store.value(waiting) > 0)
        victim.kill()
        other.rollback()
    assert store.value(FIRED) in (0, 1)

    start(queues="other").started()
    eventually(lambda: store.value(FIRED) == 1)

    assert store.value(JOBS) == 1
    assert store.value("SELECT last_at FROM pgqueue.schedule") == store.value(
        "SELECT instant FROM pgqueue.firing"
    )


# What code declares


def declaration(name: str, said: str = "@hourly", task: str = "ring", **options: Any) -> Schedule:
    return Schedule(name, Timing.parse(said), NewJob(task), **options)


def version(url: str, *schedules: Schedule, owner: str | None = "shop") -> App:
    """A version of an application, with what it declares."""
    app = App(url, name=owner)
    for each in schedules:
        app.declare(each)
    return app


async def running(app: App, stack: contextlib.AsyncExitStack, **options: Any) -> Worker:
    worker = Worker(app, Options(**{"queues": "other", "term": 1.0, **options}))
    task = asyncio.create_task(worker.run())

    async def ends() -> None:
        worker.stop()
        worker.stop()
        await asyncio.wait({task})
        app.close()

    stack.push_async_callback(ends)
    await has_started(worker, task)
    return worker


async def test_three_versions_declare_change_and_remove(store: Store, postgres_url: str) -> None:
    async with contextlib.AsyncExitStack() as first, contextlib.AsyncExitStack() as second:
        await running(
            version(postgres_url, declaration("a"), declaration("b"), declaration("c")), first
        )
        assert [row.owner for row in store.app.execute(operations.schedules()).rows] == ["shop"] * 3
        paused = replace(read(store, "b"), paused_at=datetime.now(UTC), paused_by="ann")
        edited = change(read(store, "c").declared, {}, {"jitter_seconds": 7.0})
        store.app.execute(
            operations.schedule(
                [
                    ScheduleWrite(paused),
                    ScheduleWrite(
                        replace(read(store, "c"), jitter_seconds=7.0, changes=dict(edited.changes))
                    ),
                ]
            )
        )
        before = read(store, "a")

        await running(version(postgres_url, declaration("a"), declaration("c", "@daily")), second)

        assert read(store, "a") == before  # nothing is written where code says the same
        assert (read(store, "c").said, read(store, "c").jitter_seconds) == ("@daily", 7.0)
        assert read(store, "b").retired_at is None  # one that declares it lives
        await first.aclose()
        await soon(lambda: read(store, "b").retired_at)
        assert read(store, "a").retired_at is None
        async with contextlib.AsyncExitStack() as third:
            await running(
                version(postgres_url, declaration("a", "@daily"), declaration("b")), third
            )
            revived = read(store, "b")
            assert (revived.retired_at, revived.paused_by) == (None, "ann")
            assert read(store, "a").said == "@daily"
            await second.aclose()
            await soon(lambda: read(store, "c").retired_at)


async def test_what_is_made_at_run_time_is_not_retired(store: Store, postgres_url: str) -> None:
    add(store, "made", next_at=datetime.now(UTC) + timedelta(hours=1))
    async with contextlib.AsyncExitStack() as stack:
        worker = await running(version(postgres_url, declaration("a")), stack)
        await soon(lambda: not worker._agents.scheduler._others_changed)
        assert read(store, "made").retired_at is None


async def test_two_owners_of_one_name_are_refused(store: Store, postgres_url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await running(version(postgres_url, declaration("a")), stack)
        with pytest.raises(InvalidSchedule, match="a: the schedule of this name is shop's"):
            await running(version(postgres_url, declaration("a"), owner="other"), stack)


async def test_a_schedule_of_nobody_is_refused(store: Store, postgres_url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(InvalidSchedule, match=r"App\(name="):
            await running(version(postgres_url, declaration("a"), owner=None), stack)


async def test_one_that_is_declared_immediately_fires_at_once_and_once(
    store: Store, postgres_url: str
) -> None:
    for _ in range(2):
        async with contextlib.AsyncExitStack() as stack:
            now = version(postgres_url, declaration("now", immediately=True), declaration("later"))
            await running(now, stack)
            await soon(lambda: store.value(FIRED) == 1)
    assert store.value("SELECT min(schedule) FROM pgqueue.firing") == "now"
