"""latency: how soon a job starts: with nothing else to do, on time, under steady load."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.clients import at_a_rate
from benchmarks.contenders import Contender
from benchmarks.figures import Figures, percentile
from benchmarks.scenarios import Case
from benchmarks.site import connect, workers

SECONDS = 10.0
BOTH = ("raw+notify", "pgqueue", "pgqueue/asyncio")
OURS = ("pgqueue", "pgqueue/asyncio")


def cases(size: int | None) -> list[Case]:
    seconds = float(size or SECONDS)
    rates = (2, 40, 1_000)
    picked = [
        Case(
            f"{rate} jobs/s, one by one",
            partial(measure, seconds=seconds, rate=rate),
            BOTH,
            "raw+notify",
        )
        for rate in rates
    ]
    return [
        *picked,
        Case("1,000 due within a second", partial(measure_due, spread=1.0), OURS),
        Case("1,000 due at one instant", partial(measure_due, spread=0.0), OURS),
    ]


def measure(contender: Contender, url: str, *, seconds: float, rate: float) -> Figures:
    """From just before the call until the task's first line; until its end is durable."""
    clients = 1 if rate < 100 else 4
    with workers(contender, url) as crew:
        time.sleep(1.0)
        took = sorted(at_a_rate(contender, url, clients, seconds, rate))
        time.sleep(1.0)
    picked = crew.picked()
    with connect(url) as connection:
        done = sorted(contender.done(connection, crew.reports))
    if not len(took) == len(picked) == len(done):
        raise RuntimeError(f"{len(took)} jobs, {len(picked)} started, {len(done)} done")
    figures = {"enqueue p50 ms": percentile(took, 0.5) * 1e3}
    for name, values in (("start", picked), ("done", done)):
        figures[f"{name} p50 ms"] = percentile(values, 0.5) * 1e3
        figures[f"{name} p99 ms"] = percentile(values, 0.99) * 1e3
    return figures


def measure_due(contender: Contender, url: str, *, spread: float) -> Figures:
    """How late scheduled jobs start."""
    jobs = 1_000
    with workers(contender, url) as crew, connect(url) as connection:
        began = time.time() + 2.0
        contender.schedule(connection, [began + spread * n / jobs for n in range(jobs)])
        time.sleep(4.0 + spread)
    late = crew.picked()
    if len(late) != jobs:
        raise RuntimeError(f"{len(late)} of {jobs} jobs started")
    return {
        "late p50 ms": percentile(late, 0.5) * 1e3,
        "late p99 ms": percentile(late, 0.99) * 1e3,
        "late max ms": late[-1] * 1e3,
    }
