"""held: the same burst again and again while a forgotten transaction keeps vacuum from working."""

from __future__ import annotations

from functools import partial

import psycopg

from benchmarks.contenders import Contender
from benchmarks.figures import Figures
from benchmarks.scenarios import Case
from benchmarks.site import burst, connect, workers

JOBS = 500_000
ROUNDS = 10


def cases(size: int | None) -> list[Case]:
    jobs = size or JOBS
    return [
        Case("one priority", partial(measure, jobs=jobs, priorities=1)),
        Case("four priorities", partial(measure, jobs=jobs, priorities=4)),
    ]


def measure(contender: Contender, url: str, *, jobs: int, priorities: int) -> Figures:
    size = jobs // ROUNDS
    with psycopg.connect(url) as holder, connect(url) as connection:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM pg_class")
        with workers(contender, url):
            spans = [burst(contender, connection, size, priorities) for _ in range(ROUNDS)]
    rates = [size / span.seconds for span in spans]
    return {
        "first round jobs/s": rates[0],
        "last round jobs/s": rates[-1],
        "last / first": rates[-1] / rates[0],
    }
