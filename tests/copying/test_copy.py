"""`pgqueue copy`: what waits in one store goes on in another, whatever interrupts it."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import asdict, replace

from pgqueue import backends, chain, migrations, operations
from pgqueue.backends.base import Backend
from pgqueue.copying import copier
from pgqueue.copying.windows import windows
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.graphs import workflow
from pgqueue.jobs.job import Job, NewJob
from pgqueue.jobs.limits import KeyLimits, Limits
from pgqueue.jobs.schedules.rows import Declaration, ScheduleRow
from pgqueue.jobs.unique import Unique
from pgqueue.operations import ScheduleWrite, inspections
from pgqueue.testing.conformance import Store, a_job
from tests.cli.terminal import Ended, Process, Terminal, eventually
from tests.valkey import Valkey

STORES = ("postgres", "sqlite", "redis")
AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
MANY = 6_000


class Place(NamedTuple):
    """Where a store is."""

    url: str
    schema: str
    backend: Backend


Make = Callable[[str], Place]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes an empty store of that name; every time another one."""
    opened: list[Place] = []

    def place(name: str) -> Place:
        schema = f"copy{len(opened)}"
        if name == "redis":
            server: Valkey = request.getfixturevalue("valkey_server")
            url, schema = server.url, f"{request.getfixturevalue('namespace')}_{schema}"
        else:
            url = f"sqlite:///{tmp_path}/{schema}.db"
            url = url if name == "sqlite" else request.getfixturevalue("empty_url")
            migrations.migrate(url, schema=schema)
        opened.append(Place(url, schema, backends.connect(url, schema=schema)))
        return opened[-1]

    yield place
    for made in opened:
        made.backend.close()


def words(source: Place, target: Place, *more: str) -> list[str]:
    here = ["--from", source.url, "--from-schema", source.schema]
    return ["copy", *here, "--to", target.url, "--to-schema", target.schema, *more]


def copy(source: Place, target: Place, *more: str) -> Ended:
    return Terminal(None)(*words(source, target, "--json", *more))


def a_store(place: Place) -> Store:
    """Its worker has left long ago."""
    store = Store(place.backend)
    store.leave(store.worker)
    store.now = AGO
    store.worker = store.join().worker
    return store


def tasks(place: Place, **filters: Any) -> dict[str, Job]:
    """Every job by its task's name."""
    found = place.backend.execute(inspections.list_jobs(limit=100_000, **filters))
    by_task = {job.task: job for job in found}
    assert len(by_task) == len(found)
    return by_task


@pytest.mark.parametrize("there", STORES)
@pytest.mark.parametrize("here", STORES)
def test_everything_that_waits_goes_on_elsewhere(place: Make, here: str, there: str) -> None:
    source, target = place(here), place(there)
    store = a_store(source)
    read = store.running(a_job("read"))
    store.complete(read, result='{"n": 1}')
    store.complete(store.running(a_job("forgotten")))
    dead = store.running(a_job("dead", max_attempts=1, key="tenant"))
    store.add(a_job("spoiled").after(dead.id))
    store.fail(dead, error='{"type": "E", "message": "no"}')
    store.cancel(store.add(a_job("by_hand")))
    later = store.add(a_job("later", run_at=AGO + timedelta(days=1)))
    again = store.running(a_job("again"))
    store.fail(again, retry_in=timedelta(days=1), error='{"type": "E", "message": "no"}')
    first, second, urgent = store.enqueue(
        a_job(
            "first",
            unique="k",
            key="tenant",
            args='{"n": [1, 2.50]}',
            tags=("t",),
            metadata='{"m": 1}',
        ),
        a_job("second"),
        a_job("urgent", priority=-1),
    )
    store.release(*store.claim(2))
    store.enqueue(workflow("nightly", a_job("child").after(read.id, first, on_failure="run")))
    store.enqueue(a_job("last").after(later, second.id).after(dead.id, on_failure="run"))
    store.pause("mail")
    store.leave(store.worker)
    assert urgent.id

    told = copy(source, target).json

    assert (told["copied"], told["results"], told["left"]) == (9, 1, [])
    assert told["jobs"]["available"] == 3
    was, now = tasks(source), tasks(target)
    assert now.keys() == was.keys() - {"forgotten", "by_hand"}
    for task, job in now.items():
        assert copy_of(job, now) == copy_of(was[task], was)
    assert now["spoiled"].reason == f"parent {now['dead'].id} was discarded"
    assert {q.name for q in target.backend.execute(inspections.queues()) if q.paused_at} == {"mail"}
    assert edges(target) == edges(source)
    [flow] = target.backend.execute(inspections.workflows())
    assert (flow.name, now["child"].workflow) == ("nightly", flow.id)
    assert copy(source, target).json["copied"] == 0

    other = Store(target.backend)
    other.now = AGO + timedelta(days=2)
    other.passes()
    other.heartbeat()
    assert other.work() == ["urgent", "second", "first", "child"]
    assert other.retry(now["dead"].id) == {now["dead"].id: "available"}
    other.promote()
    assert sorted(other.work()) == ["again", "dead", "last", "later", "spoiled"]
    other.check()


@pytest.mark.parametrize(("there", "here"), [("postgres", "sqlite"), ("redis", "postgres")])
def test_schedules_come_along_and_fire_no_instant_again(place: Make, there: str, here: str) -> None:
    source, target = place(there), place(here)
    store = a_store(source)
    declared = Declaration(job={"task": "nightly"}, every_seconds=60.0)
    rows = [
        ScheduleRow(
            **asdict(declared),
            name=name,
            declared=declared,
            next_at=AGO,
            owner="shop",
            paused_at=AGO if name == "paused" else None,
        )
        for name in ("nightly", "paused")
    ]
    store.schedule(*(ScheduleWrite(row, new=True, moved=True) for row in rows))
    assert len(store.fire().became) == 1
    store.leave(store.worker)

    told = copy(source, target).json

    assert told["schedules"] == 2
    other = Store(target.backend)
    other.now = AGO
    was = {row.name: row for row in store.schedules()}
    for row in other.schedules():
        assert row == replace(was[row.name], revision=row.revision, created_at=row.created_at)
    assert other.fire().became == []
    assert copy(source, target).json["schedules"] == 0


@pytest.mark.parametrize(("there", "here"), [("postgres", "redis"), ("redis", "sqlite")])
def test_keys_that_hold_for_a_time_hold_as_long(place: Make, there: str, here: str) -> None:
    """Also that of a job which has ended, and stays behind."""
    source, target = place(there), place(here)
    store = a_store(source)
    weekly = [a_job(t).options(unique=Unique(key=t, until=604_800)) for t in ("done", "waits")]
    store.enqueue(*weekly)
    store.complete(store.take())
    store.leave(store.worker)

    assert copy(source, target).json["windows"] == 2

    other = Store(target.backend)
    other.now = AGO + timedelta(days=6)
    met = {handle.task: handle for handle in other.enqueue(*weekly)}
    assert {handle.outcome for handle in met.values()} == {"existing"}
    assert tasks(target)["waits"].id == met["waits"].id
    untils = {w.until for w in target.backend.execute(windows())}
    assert untils == {AGO + timedelta(days=7)}
    assert copy(source, target).json["windows"] == 0


SAME = (
    *("task", "state", "queue", "priority", "args", "attempt", "max_attempts", "rescues"),
    *("run_at", "enqueued_at", "finished_at", "timeout_seconds", "unique_key", "key", "blocked_by"),
    *("result", "errors", "progress", "tags", "metadata"),
)


def copy_of(job: Job, jobs: dict[str, Job]) -> dict[str, Any]:
    """What must be alike on both sides: all but a store's own numbers."""
    names = {other.id: task for task, other in jobs.items()}
    return {field: getattr(job, field) for field in SAME} | {"cause": names.get(job.cause or 0)}


def edges(place: Place) -> set[tuple[Any, ...]]:
    jobs = tasks(place)
    names = {job.id: task for task, job in jobs.items()}
    found = place.backend.execute(inspections.parents(list(names)))
    return {(names[e.child], names[e.parent], e.outcome, e.on_failure, e.name) for e in found}


@pytest.mark.parametrize("store_name", STORES)
def test_a_graph_that_grew_keeps_its_shape(
    place: Make, store_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graft puts parents behind their children; pages and batches cut the graph anywhere."""
    monkeypatch.setattr(copier, "PAGE", 3)
    monkeypatch.setattr(copier, "BATCH_BYTES", 1)
    source, target = place(store_name), place("postgres")
    store = a_store(source)
    root = store.running(a_job("root"))
    store.enqueue(chain(a_job("a"), a_job("b")).jobs[0].after(root.id))
    children = [store.add(a_job(f"child{n}").after(root.id)) for n in range(4)]
    store.add(a_job("last").after(*children))
    added = chain(*(a_job(f"grafted{n}") for n in range(7)))
    completion = Completion("1", added.jobs, added.jobs)
    store.carry(operations.completing(root, completion, now=store.now))
    store.leave(store.worker)

    told = copy(source, target).json

    assert (told["copied"], told["left"]) == (13, [])
    assert edges(target) == edges(source)
    order = Store(target.backend).work()
    assert order[:7] == [f"grafted{n}" for n in range(7)]
    assert order[-1] == "last"


@pytest.mark.parametrize(("here", "there"), [("postgres", "sqlite"), ("sqlite", "postgres")])
def test_a_copy_that_is_killed_goes_on(place: Make, tmp_path: Path, here: str, there: str) -> None:
    source, target = place(here), place(there)
    store = a_store(source)
    store.leave(store.worker)
    jobs: list[NewJob[Any]] = []
    for n in range(0, MANY, 2):
        jobs.append(a_job(f"{n:05}"))
        jobs.append(a_job(f"{n + 1:05}").after(jobs[-1], *jobs[-3:-2]))
    store.enqueue(*jobs)

    for number in range(3):
        before = count(target)
        process = Process(["-m", "pgqueue", *words(source, target)], tmp_path, {}, number)
        eventually(lambda before=before: count(target) > before)
        process.send(signal.SIGKILL)
        assert process.ends() == -signal.SIGKILL
    arrived = count(target)
    assert arrived < MANY
    told = copy(source, target).json

    assert told["copied"] == MANY - arrived
    assert sorted(tasks(target)) == sorted(job.task for job in jobs)
    assert edges(target) == edges(source)
    other = Store(target.backend)
    assert other.work() == sorted(job.task for job in jobs if not job.edges) + sorted(
        job.task for job in jobs if job.edges
    )


def count(place: Place) -> int:
    """How many live jobs there are."""
    return sum(count.count for count in place.backend.execute(inspections.count()).counts)


@pytest.mark.parametrize("store_name", STORES)
def test_what_has_come_meanwhile_is_brought_by_the_next_copy(place: Make, store_name: str) -> None:
    source, target = place(store_name), place(store_name)
    store = a_store(source)
    store.leave(store.worker)
    first = store.add(a_job("first"))
    assert copy(source, target).json["copied"] == 1
    assert Store(target.backend).work() == ["first"]
    store.add(a_job("second").after(first))

    told = copy(source, target).json

    assert told["copied"] == 1
    assert Store(target.backend).work() == ["second"]


@pytest.mark.parametrize("store_name", STORES)
def test_a_store_with_living_workers_is_left_alone(
    place: Make, store_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.cli.copy.PATIENCE_SECONDS", 0.0)
    source, target = place(store_name), place("sqlite")
    store = a_store(source)
    store.now = datetime.now(UTC)
    worker = store.join(name="till", pid=7).worker
    store.add()

    ended = copy(source, target)

    assert ended.code == 1
    assert "till (pid 7" in ended.err
    assert "stop them first" in ended.err
    assert count(target) == 0
    store.leave(worker)
    store.leave(store.worker)
    assert copy(source, target).json["copied"] == 1


@pytest.mark.parametrize("store_name", STORES)
def test_jobs_of_a_dead_worker_are_taken_along(place: Make, store_name: str) -> None:
    source, target = place(store_name), place("sqlite")
    store = a_store(source)
    running = store.running(a_job("running"))
    store.add(a_job("child").after(running.id))

    assert copy(source, target).json["copied"] == 2

    assert tasks(target)["running"].rescues == 1
    assert Store(target.backend).work() == ["running", "child"]


def test_what_runs_stays_behind_with_what_waits_for_it(place: Make) -> None:
    """A worker has claimed once more after it was taken for dead."""
    source, target = place("postgres"), place("sqlite")
    store = a_store(source)
    store.now = datetime.now(UTC)
    gone = store.join().worker
    running = store.running(a_job("running"), by=gone)
    child = store.add(a_job("child").after(running.id))
    grandchild = store.add(a_job("grandchild").after(child))
    store.leave(gone)
    store.leave(store.worker)
    store.add(a_job("other"))

    told = copy(source, target).json

    assert (told["copied"], told["running"], told["left"]) == (1, 1, [child, grandchild])
    assert "stay behind" in Terminal(None).ok(*words(source, target))
    store.free(running.id)
    assert copy(source, target).json["copied"] == 3


def test_a_dry_run_changes_nothing(place: Make) -> None:
    source, target = place("sqlite"), place("sqlite")
    store = a_store(source)
    running = store.running()
    store.add(a_job("child").after(running.id))
    before = (
        Path(source.url.removeprefix("sqlite:///")),
        Path(target.url.removeprefix("sqlite:///")),
    )
    dumps = [dump(file) for file in before]

    said = Terminal(None).ok(*words(source, target, "--dry-run"))

    assert said == "1 jobs to copy: 1 blocked\n1 running jobs stay behind\n"
    assert [dump(file) for file in before] == dumps


def dump(file: Path) -> list[str]:
    connection = sqlite3.connect(file)
    text = list(connection.iterdump())
    connection.close()
    return text


@pytest.mark.parametrize("store_name", STORES)
def test_a_store_is_not_copied_to_itself(place: Make, store_name: str) -> None:
    source = place(store_name)

    ended = copy(source, source)

    assert ended.code == 1
    assert "one store" in ended.err


def test_a_store_without_tables_is_named(place: Make) -> None:
    source = place("postgres")
    target = source._replace(schema="nowhere")

    ended = copy(source, target)

    assert ended.code == 1
    assert "pgqueue migrate" in ended.err


def test_the_second_of_two_that_began_as_one_file_is_refused_not_half_copied(
    place: Make, tmp_path: Path
) -> None:
    first, second, target = place("sqlite"), place("sqlite"), place("postgres")
    a_store(first).add(a_job("common"))
    first.backend.close()
    second.backend.close()
    file, twin = (Path(one.url.removeprefix("sqlite:///")) for one in (first, second))
    twin.write_bytes(file.read_bytes())
    second = first._replace(
        url=second.url, backend=backends.connect(second.url, schema=first.schema)
    )
    Store(first.backend).add(a_job("of_the_first"))
    Store(second.backend).add(a_job("of_the_second"))
    for each in (first, second):
        for worker in each.backend.execute(inspections.workers()):
            each.backend.execute(operations.leave(worker.id))
        each.backend.close()

    assert copy(first, target).code == 0
    refused = copy(second, target)

    assert refused.code == 1
    assert "began as the same image or dump" in refused.err
    assert set(tasks(target)) == {"common", "of_the_first"}


def test_a_twin_that_was_adopted_is_another_store(place: Make) -> None:
    first, second, target = place("sqlite"), place("sqlite"), place("postgres")
    a_store(first).add(a_job("common"))
    first.backend.close()
    second.backend.close()
    file, twin = (Path(one.url.removeprefix("sqlite:///")) for one in (first, second))
    twin.write_bytes(file.read_bytes())
    second = first._replace(
        url=second.url, backend=backends.connect(second.url, schema=first.schema)
    )
    for each, task in ((first, "of_the_first"), (second, "of_the_second")):
        Store(each.backend).add(a_job(task))
        for worker in each.backend.execute(inspections.workers()):
            each.backend.execute(operations.leave(worker.id))
        each.backend.close()

    assert copy(first, target).code == 0
    assert Terminal(second.url)("adopt", "--schema", second.schema, "--json").json["store"]
    assert copy(second, target).code == 0

    found = [job.task for job in target.backend.execute(inspections.list_jobs())]
    assert sorted(found) == ["common", "common", "of_the_first", "of_the_second"]


def test_what_is_paused_or_limited_is_so_before_its_jobs_are_there(place: Make) -> None:
    """Workers of the target may live meanwhile."""
    source, target = place("sqlite"), place("sqlite")
    store = a_store(source)
    store.add(a_job(queue="paused"))
    store.add(a_job(queue="limited", key="a"))
    store.pause("paused")
    store.limit("limited", concurrency=2)
    store.do(operations.limit_key("limited", "a", KeyLimits(concurrency=1)))
    copying = copier.Copier(source.backend, target.backend)
    copying.survey()
    seen: list[tuple[int, list[Any], list[Any]]] = []

    def look(count: int) -> None:
        queues = target.backend.execute(inspections.queues())
        exceptions = target.backend.execute(operations.exceptions())
        seen.append((count, [(q.name, bool(q.paused_at), q.limits) for q in queues], exceptions))

    copying.copy(look)

    limited = ("limited", False, Limits(concurrency=2))
    assert sum(count for count, _, _ in seen) == 2
    for _, queues, exceptions in seen:
        assert queues == [limited, ("paused", True, None)]
        assert [(one.key, one.limits) for one in exceptions] == [("a", KeyLimits(concurrency=1))]


@pytest.mark.parametrize("there", STORES)
@pytest.mark.parametrize("here", STORES)
def test_a_job_that_has_begun_holds_its_key_there_too(place: Make, here: str, there: str) -> None:
    """One was handed back when its worker stopped, the other waits for its next attempt."""
    source, target = place(here), place(there)
    store = a_store(source)
    store.limit(ordered=True)
    for key in "ab":
        for n in (1, 2):
            store.add(a_job(f"{key}{n}", key=key))
    first, other = store.turn().jobs
    store.release(first)
    store.fail(other, retry_in=timedelta(days=1))

    assert copy(source, target).json["copied"] == 4

    copied = Store(target.backend)
    copied.now = AGO + timedelta(hours=1)
    turn = copied.turn().jobs
    assert [job.task for job in turn] == [first.task]
    copied.complete(*turn)
    assert [job.key for job in copied.turn().jobs] == [first.key]
