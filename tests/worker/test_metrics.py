"""Metrics: what workers have counted is what the store has taken; of one process and of several."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pgqueue import App, Cancel, Discard, Retry, Snooze, embedded, operations
from pgqueue.contrib.prometheus import Collector
from pgqueue.embedded import Server
from pgqueue.operations import inspections
from pgqueue.worker import Worker
from tests.databases import migrate
from tests.worker import shop as tasks
from tests.worker.conftest import Start, Work
from tests.worker.process import PATIENCE, Shop, eventually
from tests.worker.store import Store, ended
from tests.worker.test_probes import ask, becomes, port_of

WORKER = {
    "pgqueue_jobs_finished": {"queue", "task", "outcome"},
    "pgqueue_job_run_seconds": {"queue", "task", "le"},
    "pgqueue_job_wait_seconds": {"queue", "task", "le"},
    "pgqueue_jobs_running": {"queue"},
    "pgqueue_worker_slots": set(),
    "pgqueue_lease_lost": set(),
    "pgqueue_event_loop_lag_seconds": set(),
}
STORE = {
    "pgqueue_jobs": {"queue", "state"},
    "pgqueue_oldest_due_seconds": {"queue"},
    "pgqueue_queue_paused": {"queue"},
    "pgqueue_workers": {"queue"},
    "pgqueue_horizon_seconds": set(),
    "pgqueue_schema_info": {"version"},
}


class Scrape:
    """What a scrape has found."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._values = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self._values.get((name, *sorted(labels.items())))

    def total(self, name: str, **labels: str) -> float:
        return sum(
            value
            for (found, *pairs), value in self._values.items()
            if found == name and labels.items() <= dict(pairs).items()
        )

    def outcomes(self, task: str) -> dict[str, float]:
        found = {
            dict(pairs)["outcome"]: value
            for (name, *pairs), value in self._values.items()
            if name == "pgqueue_jobs_finished_total" and dict(pairs)["task"] == task
        }
        return {outcome: value for outcome, value in found.items() if value}


def scrape(port: int) -> Scrape:
    status, text = ask(port, "/metrics")
    assert status == 200
    return Scrape(f"{text}\n")


def completed(port: int, task: str = "ring") -> float:
    return scrape(port).outcomes(task).get("completed", 0)


def port_in(worker: Worker) -> int:
    assert worker.probes is not None
    assert worker.probes.port is not None
    return worker.probes.port


async def test_a_scrape_has_these_metrics_and_labels(app: App, work: Work) -> None:
    @app.task
    async def send() -> None: ...

    worker = await work(health_port=0, concurrency=7)
    job = await app.enqueue_async(send.job())
    await app.result_async(job, PATIENCE)
    await app.enqueue_async(send.job().options(queue="unserved", delay=60))
    await app.execute_async(operations.pause("unserved"))

    found = await asyncio.to_thread(scrape, port_in(worker))

    assert {
        name: set().union(*(sample.labels for sample in family.samples))
        for name, family in found.families.items()
        if name != "pgqueue_jobs_running"
    } == {
        name: labels for name, labels in (WORKER | STORE).items() if name != "pgqueue_jobs_running"
    }
    assert found.value("pgqueue_worker_slots") == 7
    assert found.value("pgqueue_jobs", queue="unserved", state="scheduled") == 1
    assert found.value("pgqueue_queue_paused", queue="unserved") == 1
    assert found.value("pgqueue_queue_paused", queue="default") == 0
    assert found.value("pgqueue_workers", queue="default") == 1
    assert found.value("pgqueue_workers", queue="unserved") == 0
    assert found.value("pgqueue_schema_info", version=app.backend.head) == 1


async def test_every_end_is_counted_by_its_outcome(app: App, work: Work) -> None:
    @app.task(max_attempts=2, retry=0)
    async def end(how: str) -> Any:
        match how:
            case "fail":
                raise ValueError
            case "snooze":
                return Snooze(1000)
            case "cancel":
                return Cancel("no")
            case "discard":
                return Discard("never")
            case "retry":
                return Retry(1000)

    worker = await work(health_port=0)
    hows = ["well", "well", "fail", "cancel", "discard"]
    handles = await app.enqueue_async([end.job(how) for how in hows])
    for handle in handles:
        await ended(app, handle)
    for how in ("snooze", "retry"):
        await app.enqueue_async(end.job(how))
    seen = {"completed": 2, "retried": 2, "discarded": 2, "cancelled": 1, "snoozed": 1}

    def look() -> Scrape | None:
        found = scrape(port_in(worker))
        assert found.outcomes("end") == seen
        return found

    found = await asyncio.to_thread(eventually, look)

    attempts = sum(seen.values())
    for name in ("pgqueue_job_run_seconds", "pgqueue_job_wait_seconds"):
        assert found.total(f"{name}_count") == attempts
        assert found.total(f"{name}_bucket", le="+Inf") == attempts
        assert 0 < found.total(f"{name}_sum") < 60


async def test_what_runs_is_counted_by_queue(app: App, work: Work, shop: Shop) -> None:
    app.add(tasks.pack)
    worker = await work(health_port=0, queues="default,mail", concurrency=3)
    await app.enqueue_async([tasks.pack.job() for _ in range(2)])
    await app.enqueue_async([tasks.pack.job().options(queue="mail") for _ in range(4)])
    await asyncio.to_thread(eventually, lambda: len(shop.marks("start")) == 3)

    found = await asyncio.to_thread(scrape, port_in(worker))

    assert found.total("pgqueue_jobs_running") == 3
    assert found.total("pgqueue_jobs_finished_total") == 0
    shop.open()


@pytest.fixture
def server() -> Iterator[Server]:
    with embedded.start(ephemeral=True) as server:
        migrate(server.url)
        yield server


def test_a_job_counts_when_the_store_has_taken_its_end(
    server: Server, start: Start, shop: Shop
) -> None:
    store = Store(server.url)
    worker = start(url=server.url, health_port=0)
    port = port_of(worker)
    [handle] = store.enqueue(tasks.pack.job())
    eventually(lambda: shop.marks("start"))
    before = scrape(port)
    assert before.families.keys() == (WORKER | STORE).keys()

    server.kill()
    shop.open()
    eventually(lambda: shop.marks("end"))

    def without_store() -> Scrape | None:
        found = scrape(port)
        return found if found.families.keys() == WORKER.keys() else None

    found = eventually(without_store)
    assert found.outcomes("pack") == {}
    server.start()
    eventually(lambda: scrape(port).outcomes("pack") == {"completed": 1})
    assert store.job(handle).state == "completed"
    store.app.close()


def test_a_lease_that_is_lost_is_counted(start: Start, store: Store, shop: Shop) -> None:
    worker = start(health_port=0, heartbeat_interval=0.2, frozen_after=100)
    port = port_of(worker)
    [handle] = store.enqueue(tasks.pack.job())
    eventually(lambda: shop.marks("start"))

    store.value("UPDATE pgqueue.job SET lease = 7 WHERE id = %s", handle.id)

    eventually(lambda: scrape(port).value("pgqueue_lease_lost_total") == 1)
    assert scrape(port).outcomes("pack") == {}


def test_several_processes_are_one_sum_which_a_death_does_not_lower(
    start: Start, store: Store
) -> None:
    supervisor = start(processes=3, health_port=0)
    port = port_of(supervisor)
    becomes(port, "/ready", 200)
    assert scrape(port).value("pgqueue_worker_slots") == 300
    first = store.enqueue(*[tasks.ring.job() for _ in range(300)])
    eventually(lambda: completed(port) == 300)
    assert scrape(port).families.keys() == (WORKER | STORE).keys()

    for pid in set(map(int, re.findall(r"process (\d+) started", supervisor.log))):
        os.kill(pid, signal.SIGKILL)
    assert completed(port) == 300
    becomes(port, "/ready", 200)
    second = store.enqueue(*[tasks.ring.job() for _ in range(200)])

    eventually(lambda: completed(port) == 500)
    assert scrape(port).total("pgqueue_job_run_seconds_count") == 500
    assert scrape(port).value("pgqueue_worker_slots") == 300
    assert store.all_finished([*first, *second])
    supervisor.send(signal.SIGTERM)
    assert supervisor.ends() == 0


def test_kills_at_any_time_never_count_what_the_store_has_not_taken(
    start: Start, store: Store
) -> None:
    supervisor = start(processes=2, health_port=0)
    port = port_of(supervisor)
    becomes(port, "/ready", 200)
    handles = store.enqueue(*[tasks.ring.job() for _ in range(4_000)])
    eventually(lambda: completed(port) > 0)
    victim = int(supervisor.logs(r"process (\d+) started")[1])
    before = completed(port)
    os.kill(victim, signal.SIGKILL)
    assert completed(port) >= before

    eventually(lambda: store.all_finished(handles))
    becomes(port, "/ready", 200)
    assert before <= completed(port) <= 4_000
    supervisor.send(signal.SIGTERM)
    assert supervisor.ends() == 0


async def test_a_collector_serves_the_workers_of_its_process(app: App, work: Work) -> None:
    @app.task
    async def send() -> None: ...

    registry = CollectorRegistry()
    registry.register(Collector(app))
    await work()
    other = App(app.url)
    job = await app.enqueue_async(send.job())
    await app.result_async(job, PATIENCE)

    found = Scrape((await asyncio.to_thread(generate_latest, registry)).decode())

    assert found.families.keys() == (WORKER | STORE).keys()
    assert found.outcomes("send") == {"completed": 1}
    assert found.value("pgqueue_job_run_seconds_count", queue="default", task="send") == 1
    assert Scrape("".join(_text(Collector(other, store=False)))).families == {}


def _text(collector: Collector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def test_where_no_worker_runs_a_collector_serves_the_store(postgres_url: str) -> None:
    app = App(postgres_url)
    assert Scrape(_text(Collector(app))).families.keys() == STORE.keys()
    app.close()


def test_while_the_store_is_away_a_scrape_is_what_is_left() -> None:
    assert Scrape(_text(Collector(App("postgresql://nobody@127.0.0.1:1/nothing")))).families == {}


def test_a_store_is_asked_once_for_scrapes_that_follow_one_another(store: Store) -> None:
    collector = Collector(store.app)
    before = Scrape(_text(collector))
    store.enqueue(tasks.ring.job())

    assert Scrape(_text(collector)).families.keys() == before.families.keys()
    assert store.app.execute(inspections.count()).counts
    assert Scrape(_text(collector)).total("pgqueue_jobs") == 0
    assert Scrape(_text(Collector(store.app))).total("pgqueue_jobs") == 1
