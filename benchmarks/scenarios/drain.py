"""drain: how fast waiting jobs are done, from the first one's start to the last completion."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from benchmarks import cpu
from benchmarks.figures import Figures
from benchmarks.scenarios import Case
from benchmarks.stand import Failed, Stand
from benchmarks.watching import watched

JOBS = 100_000


def cases(size: int | None) -> list[Case]:
    jobs = size or JOBS
    ours = ("raw", "pgqueue", "pgqueue/asyncio")
    return [
        Case("one worker", partial(measure, jobs=jobs), ours),
        Case("two workers", partial(measure, jobs=jobs, processes=2), ours),
        Case("jobs of 1 ms", partial(measure, jobs=jobs // 2, seconds=0.001), ("raw", "pgqueue")),
        Case(
            "with spans of OpenTelemetry",
            partial(measure, jobs=jobs // 2),
            ("pgqueue", "pgqueue/traced"),
            baseline="pgqueue",
            backends=("postgres",),
        ),
        Case(
            "without the tally, and with the dashboard open",
            partial(measure_watched, jobs=4 * jobs),
            ("pgqueue", "pgqueue/uncounted", "pgqueue/watched"),
            baseline="pgqueue/uncounted",
            backends=("postgres",),
        ),
        Case("arguments of 1 kB", partial(measure, jobs=jobs // 2, size=1_000)),
        Case("arguments of 32 kB", partial(measure, jobs=jobs // 20, size=32_000)),
    ]


def measure(stand: Stand, *, jobs: int, processes: int = 1, **kind: Any) -> Figures:
    """Processor time is what the jobs cost when the machine has other things to do."""
    jobs = stand.jobs(jobs)
    early = stand.contender.piecemeal
    if early:
        stand.ask("fill", count=jobs, **kind)
    since = 0.0 if early else time.time()
    with stand.crew(processes) as crew:
        meter = cpu.Meter(crew.pids, stand.store.pids(stand.url))
        if not early:
            stand.ask("fill", count=jobs, **kind)
            meter.start()
        ended = stand.await_done(crew, jobs)
        worker, server = meter.read()
    figures = {"jobs/s": jobs / (ended - crew.began(since))}
    if worker:
        figures["worker CPU µs/job"] = worker / jobs * 1e6
    if server:
        figures["server CPU µs/job"] = server / jobs * 1e6
    return figures


def measure_watched(stand: Stand, *, jobs: int) -> Figures:
    """The same; the dashboard of a contender that has one is open from before the first job on."""
    if not stand.contender.options.get("watched"):
        return measure(stand, jobs=jobs)
    with watched(stand.url) as dashboard:
        meter, began = cpu.Meter([dashboard.pid], ()), time.monotonic()
        figures = measure(stand, jobs=jobs)
        spent, _ = meter.read()
        seconds = time.monotonic() - began
    if dashboard.viewer.pages < 2:
        raise Failed("the dashboard was not looked at while jobs ran")
    return figures | {"dashboard CPU ms/s": spent / seconds * 1e3}
