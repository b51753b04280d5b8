"""Several processes on one file: nothing lost, nothing twice, no SQLITE_BUSY, woken at once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from threading import Event, Thread
from time import monotonic, sleep, time
from typing import Any, TypeAlias

import pytest

from pgqueue import App, operations
from pgqueue.backends.plans import carry_out
from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from tests.cli.terminal import eventually
from tests.sqlite.shop import buy, hang, instant, ring, wait

ROOT = Path(__file__).parents[2]
Start: TypeAlias = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def app(url: str) -> Iterator[App]:
    app = App(url)
    yield app
    app.close()


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts `python -m ...`; its words are in a log. Kills it in the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: object) -> subprocess.Popen[bytes]:
        with (tmp_path / f"log-{len(started)}").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *map(str, words)],
                cwd=ROOT,
                env={**os.environ, "PGQUEUE_URL": url, "SHOP_FOLDER": str(tmp_path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def worker(start: Start, app: App) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts a worker process, and waits until it is there."""

    def worker(*options: object) -> subprocess.Popen[bytes]:
        before = len(app.execute(inspections.workers()))
        process = start("pgqueue.worker", "tests.sqlite.shop:app", *options)
        eventually(lambda: len(app.execute(inspections.workers())) > before)
        return process

    return worker


def logs(tmp_path: Path) -> str:
    return "".join(log.read_text() for log in sorted(tmp_path.glob("log-*")))


@pytest.mark.timeout(300)
def test_four_processes_lose_nothing_and_do_nothing_twice(
    app: App, start: Start, tmp_path: Path
) -> None:
    """Two enqueue one by one while two work."""
    jobs = 20_000
    app.execute(inspections.version())
    processes = [
        start("tests.sqlite.producer", 0, jobs // 2),
        start("tests.sqlite.producer", jobs // 2, jobs),
    ]
    workers = [start("pgqueue.worker", "tests.sqlite.shop:app") for _ in range(2)]
    for process in processes:
        assert process.wait(200) == 0, logs(tmp_path)
    eventually(lambda: not app.execute(inspections.count()).counts)
    for process in workers:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0

    lines = [line.split() for line in (tmp_path / "diary").read_text().splitlines()]
    assert Counter(int(n) for n, _ in lines) == dict.fromkeys(range(jobs), 1)
    assert len({pid for _, pid in lines}) == 2
    assert "locked" not in logs(tmp_path)
    assert "Traceback" not in logs(tmp_path)
    assert "rescued" not in logs(tmp_path)


def test_a_killed_workers_jobs_run_elsewhere_within_seconds(
    app: App, worker: Start, tmp_path: Path
) -> None:
    victim = worker()
    handle = app.enqueue(hang.job())
    eventually(lambda: app.execute(inspections.get([handle]))[handle.id].state == State.RUNNING)
    survivor = worker()
    (tmp_path / "gate").touch()
    killed_at = monotonic()
    victim.send_signal(signal.SIGKILL)

    assert app.result(handle, timeout=20) == survivor.pid
    assert monotonic() - killed_at < 5
    job = app.execute(inspections.get([handle]))[handle.id]
    assert (job.rescues, job.errors[0].type) == (1, "WorkerLost")


def test_a_frozen_worker_keeps_its_jobs_while_it_holds_its_lock(app: App, worker: Start) -> None:
    frozen = worker()
    handle = app.enqueue(hang.job())
    eventually(lambda: app.execute(inspections.get([handle]))[handle.id].state == State.RUNNING)
    worker()
    frozen.send_signal(signal.SIGSTOP)
    sleep(3)  # nothing may happen: as long as a dead one would have taken

    assert app.execute(inspections.get([handle]))[handle.id].rescues == 0
    frozen.send_signal(signal.SIGCONT)


def test_an_idle_worker_is_woken_by_another_process(app: App, worker: Start) -> None:
    worker()
    sleep(0.5)  # so that it has fallen asleep
    waited = []
    for _ in range(30):
        enqueued_at = time()
        waited.append(app.result(app.enqueue(instant.job()), timeout=10) - enqueued_at)
        sleep(0.15)

    assert median(waited) < 0.05  # its poll interval is a second


def test_a_delayed_job_starts_at_its_instant(app: App, worker: Start) -> None:
    worker()
    due = time() + 0.7
    handle = app.enqueue(instant.job().options(delay=0.7))

    assert -0.05 < app.result(handle, timeout=10) - due < 2


def test_a_running_job_hears_that_it_is_cancelled(app: App, worker: Start) -> None:
    worker()
    handle = app.enqueue(wait.job())
    eventually(lambda: app.execute(inspections.get([handle]))[handle.id].state == State.RUNNING)
    app.execute(operations.cancel([handle]))

    eventually(
        lambda: app.execute(inspections.get([handle]))[handle.id].state == State.CANCELLED,
        within=3,
    )


def test_a_task_writes_in_the_transaction_that_completes_it(
    app: App, worker: Start, url: str
) -> None:
    app.execute(inspections.version())
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("CREATE TABLE purchase (id INTEGER)")
        worker()
        app.result(app.enqueue(buy.job(7)), timeout=10)
        refused = app.enqueue(buy.job(-1).options(max_attempts=1))
        eventually(
            lambda: app.execute(inspections.get([refused]))[refused.id].state == State.DISCARDED
        )

        assert connection.execute("SELECT id FROM purchase").fetchall() == [(7,)]


def test_after_a_fork_the_child_uses_no_connection_of_its_parents(app: App) -> None:
    app.enqueue(ring.job(1))
    pid = os.fork()
    if pid == 0:
        try:
            app.enqueue(ring.job(2))
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    app.enqueue(ring.job(3))

    assert status == 0
    jobs: list[Any] = app.execute(inspections.list_jobs())
    assert [job.args["n"] for job in jobs] == [3, 2, 1]


def test_one_that_writes_again_and_again_lets_others_have_their_turn(app: App) -> None:
    """As a command does, which acts on many jobs: one lot after the other, on one connection."""
    jobs = [ring.job(n) for n in range(500)]
    app.enqueue(jobs)
    lots, done = [0], Event()

    def write() -> None:
        with app.backend.connect() as connection:
            while not done.is_set():
                with app.backend.on(connection) as executor:
                    lots[0] += 1
                    carry_out(operations.enqueue(jobs), executor.execute)

    writer = Thread(target=write)
    writer.start()
    eventually(lambda: lots[0] > 0)
    met = []
    for _ in range(20):
        before = lots[0]
        app.enqueue(ring.job(1))
        met.append(lots[0] - before)
    done.set()
    writer.join()

    # One that was under way, one that was first to ask, and one begun before we could look.
    assert max(met) <= 3, met
