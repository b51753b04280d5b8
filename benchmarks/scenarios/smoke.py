"""smoke: a minute of everything that matters most, for CI: to be looked at, never to fail."""

from __future__ import annotations

from functools import partial

from benchmarks.scenarios import Case, drain, enqueue, held, latency


def cases(size: int | None) -> list[Case]:
    jobs = size or 20_000
    latency_case = Case(
        "latency",
        partial(latency.measure, seconds=3.0, rate=40),
        ("raw+notify", "pgqueue"),
        "raw+notify",
    )
    held_case = Case(
        "held snapshot",
        partial(held.measure, jobs=5 * jobs, priorities=1),
        backends=("postgres",),
    )
    return [
        Case("drain", partial(drain.measure, jobs=jobs)),
        held_case,
        Case("enqueue", partial(enqueue.measure, clients=1, crew="no worker")),
        Case("bulk enqueue", partial(enqueue.measure_bulk, jobs=jobs)),
        latency_case,
    ]
