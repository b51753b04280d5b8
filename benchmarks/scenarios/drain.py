"""drain: how fast a burst of no-op jobs is done, from the first claim to the last completion."""

from __future__ import annotations

from functools import partial

from benchmarks import cpu
from benchmarks.contenders import Contender
from benchmarks.figures import Figures
from benchmarks.scenarios import Case, Scenario
from benchmarks.site import await_span, connect, workers

JOBS = 100_000


def scenario(size: int | None) -> Scenario:
    jobs = size or JOBS
    contenders = ("raw", "pgqueue", "pgqueue/asyncio")
    return Scenario(
        [
            Case("one worker", partial(measure, jobs=jobs, processes=1), contenders),
            Case("two workers", partial(measure, jobs=jobs, processes=2), contenders),
        ]
    )


def measure(contender: Contender, url: str, *, jobs: int, processes: int) -> Figures:
    """Processor time is what the jobs cost when the machine has other things to do."""
    with workers(contender, url, processes) as crew, connect(url) as connection:
        ours = [process.pid for process in crew.processes]
        theirs = cpu.backends(connection)
        mark = contender.fill(connection, jobs)
        before = cpu.seconds(ours), cpu.seconds(theirs)
        span = await_span(contender, connection, mark, jobs)
        after = cpu.seconds(ours), cpu.seconds(theirs)
    figures = {"jobs/s": jobs / (span.ended - span.began)}
    for name, began, ended in zip(
        ("worker CPU µs/job", "server CPU µs/job"), before, after, strict=True
    ):
        if began is not None and ended is not None:
            figures[name] = (ended - began) / jobs * 1e6
    return figures
