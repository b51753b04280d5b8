"""drain: how fast a burst of no-op jobs is done, from the first claim to the last completion."""

from __future__ import annotations

from functools import partial

from benchmarks import cpu
from benchmarks.contenders import Contender
from benchmarks.figures import Figures
from benchmarks.scenarios import Case
from benchmarks.site import await_span, connect, workers

JOBS = 100_000


def cases(size: int | None) -> list[Case]:
    jobs = size or JOBS
    contenders = ("raw", "pgqueue", "pgqueue/asyncio")
    return [
        Case("one worker", partial(measure, jobs=jobs, processes=1), contenders),
        Case("two workers", partial(measure, jobs=jobs, processes=2), contenders),
    ]


def measure(contender: Contender, url: str, *, jobs: int, processes: int) -> Figures:
    """Processor time is what the jobs cost when the machine has other things to do."""
    with workers(contender, url, processes) as crew, connect(url) as connection:
        meter = cpu.Meter(crew.pids, cpu.backends(connection))
        mark = contender.fill(connection, jobs)
        meter.start()
        span = await_span(contender, connection, mark, jobs)
        worker, server = meter.read()
    figures = {"jobs/s": jobs / span.seconds}
    if worker and server:
        figures |= {
            "worker CPU µs/job": worker / jobs * 1e6,
            "server CPU µs/job": server / jobs * 1e6,
        }
    return figures
