"""held: the same burst again and again while a forgotten transaction keeps vacuum from working."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import partial

import psycopg

from benchmarks.figures import Figures
from benchmarks.scenarios import Case
from benchmarks.stand import Stand

JOBS = 1_000_000
ROUNDS = 10


def cases(size: int | None) -> list[Case]:
    jobs = size or JOBS
    postgres = ("postgres",)
    return [
        Case("one priority", partial(measure, jobs=jobs, priorities=1), backends=postgres),
        Case("four priorities", partial(measure, jobs=jobs, priorities=4), backends=postgres),
        Case("claimed one by one", partial(measure_singles, jobs=jobs // 20), backends=postgres),
    ]


def measure(stand: Stand, *, jobs: int, priorities: int) -> Figures:
    size = stand.jobs(jobs) // ROUNDS
    spans: list[tuple[float, float]] = []
    with _holder(stand.url), stand.crew() as crew:
        for number in range(1, ROUNDS + 1):
            since = time.time()
            stand.ask("fill", count=size, priorities=priorities)
            spans.append((since, stand.await_done(crew, number * size)))
    return _rates([size / (ended - crew.began(since)) for since, ended in spans])


def measure_singles(stand: Stand, *, jobs: int) -> Figures:
    """A claim and a completion each, on one connection, without a worker."""
    size = jobs // ROUNDS
    rates = []
    with _holder(stand.url):
        for _ in range(ROUNDS):
            stand.ask("fill", count=size)
            rates.append(size / stand.ask("cycle", count=size))
    return _rates(rates)


@contextlib.contextmanager
def _holder(url: str) -> Iterator[None]:
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM pg_class")
        yield


def _rates(rates: list[float]) -> Figures:
    return {
        "first round jobs/s": rates[0],
        "last round jobs/s": rates[-1],
        "last / first": rates[-1] / rates[0],
    }
