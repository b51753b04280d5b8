"""Several real workers on a queue with limits, one of which is killed: nothing exceeds them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pgqueue import App, operations
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import Limits, Rate
from pgqueue.operations import inspections
from tests.limits import shop
from tests.limits.checker import Checker
from tests.worker.process import ROOT, eventually

JOBS, KEYS, WORKERS = 180, 6, 3
LIMITS = {
    "queue": Limits(concurrency=5),
    "key": Limits(concurrency=8, key_concurrency=2),
    "rate": Limits(rate=Rate(60, 0.5), key_rate=Rate(12, 0.4)),
    "ordered": Limits(ordered=True),
}


@contextmanager
def working(app: App, count: int, log: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers in processes of their own; killed in the end."""
    flags = ["--queues", "api", "--concurrency", "20"]
    command = [sys.executable, "-m", "pgqueue.worker", *flags, "tests.limits.shop:app"]
    with log.open("wb") as stderr:
        workers = [
            subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PGQUEUE_URL": app.url, "SHOP_SCHEMA": app.schema},
                stdin=subprocess.DEVNULL,
                stderr=stderr,
            )
            for _ in range(count)
        ]
        try:
            yield workers
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()


def ended(app: App) -> int:
    counts = app.execute(inspections.count()).counts
    return JOBS - sum(count.count for count in counts)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", LIMITS)
def test_nothing_exceeds_the_limits_while_a_worker_is_killed(
    app: App, name: str, tmp_path: Path
) -> None:
    limits = LIMITS[name]
    app.execute(operations.declare_limits("api", limits))
    app.enqueue([shop.rest.job(f"k{n % KEYS}") for n in range(JOBS)])
    checker = Checker(app.backend, "api", limits)
    log = tmp_path / "workers.log"

    with working(app, WORKERS, log) as workers, checker.looking():
        eventually(lambda: ended(app) > JOBS / 4)
        workers[0].kill()
        eventually(lambda: ended(app) == JOBS, within=120)

    done = app.execute(inspections.list_jobs(state=State.COMPLETED, limit=JOBS + 1))
    assert len(done) == JOBS, log.read_text()
    checker.ends(done)
    assert checker.broken == []
    assert checker.looks > 20
    assert checker.most > 1


@pytest.fixture
def checked(app: App) -> Callable[[Limits], Checker]:
    """A checker of a queue in which ten jobs of two keys run, without anybody's limits."""
    app.enqueue([shop.rest.job(f"k{n % 2}") for n in range(10)])
    claim = operations.claim("api", 1, 1, 10)
    claimed = app.execute(claim)
    assert len(claimed) == 10

    def checked(limits: Limits) -> Checker:
        checker = Checker(app.backend, "api", limits)
        checker.look()
        checker.ends(app.execute(inspections.list_jobs(state=State.RUNNING)))
        return checker

    return checked


def test_the_checker_sees_what_exceeds_the_limits(checked: Callable[[Limits], Checker]) -> None:
    assert checked(Limits(10, Rate(10, 1), 5, Rate(5, 1))).broken == []
    assert checked(Limits(concurrency=9)).broken == ["10 run, 9 may"]
    assert len(checked(Limits(key_concurrency=4)).broken) == 2
    assert len(checked(Limits(rate=Rate(9, 1))).broken) == 1
    assert len(checked(Limits(key_rate=Rate(4, 1))).broken) == 2
