"""latency: how soon a job starts: with nothing else to do, on time, under steady load."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.figures import Figures, percentile
from benchmarks.scenarios import Case
from benchmarks.stand import Failed, Stand, Unsupported

SECONDS = 10.0
GRACE_SECONDS = 3.0
LATEST_SECONDS = 15.0
OURS = ("raw+notify", "pgqueue", "pgqueue/asyncio")


def cases(size: int | None) -> list[Case]:
    seconds = float(size or SECONDS)
    picked = [
        Case(
            f"{rate} jobs/s, one by one",
            partial(measure, seconds=seconds, rate=rate),
            OURS,
            "raw+notify",
        )
        for rate in (2, 40, 200, 1_000)
    ]
    due = [
        Case(f"1,000 due {when}", partial(measure_due, spread=spread), OURS[1:], "pgqueue")
        for when, spread in (("within a second", 1.0), ("at one instant", 0.0))
    ]
    return [*picked, *due]


def measure(stand: Stand, *, seconds: float, rate: float) -> Figures:
    """From just before the call until the task's first line; until its end is durable."""
    with stand.crew() as crew:
        time.sleep(1.0)
        took = stand.crowd(1 if rate < 100 else 4, seconds, rate)
        time.sleep(GRACE_SECONDS)
    picked = crew.latencies
    if len(took) < 0.9 * rate * seconds and rate >= 100:
        raise Unsupported(f"its 4 clients enqueue {len(took) / seconds:,.0f} jobs/s at the most")
    if len(picked) < len(took):
        raise Unsupported(f"does not keep up: {len(picked):,} of {len(took):,} jobs started")
    figures = {
        "enqueue p50 ms": percentile(took, 0.5) * 1e3,
        "start p50 ms": percentile(picked, 0.5) * 1e3,
        "start p99 ms": percentile(picked, 0.99) * 1e3,
    }
    try:
        done = sorted(stand.ask("done"))
    except Unsupported:
        return figures
    return figures | {
        "done p50 ms": percentile(done, 0.5) * 1e3,
        "done p99 ms": percentile(done, 0.99) * 1e3,
    }


def measure_due(stand: Stand, *, spread: float) -> Figures:
    """How late scheduled jobs start."""
    jobs = 1_000
    with stand.crew() as crew:
        began = time.time() + 2.0
        stand.ask("schedule", due=[began + spread * n / jobs for n in range(jobs)])
        deadline = began + spread + LATEST_SECONDS
        while crew.executed < jobs:
            if time.time() > deadline:
                raise Failed(f"{crew.executed} of {jobs} jobs started")
            time.sleep(0.1)
    late = crew.latencies
    return {
        "late p50 ms": percentile(late, 0.5) * 1e3,
        "late p99 ms": percentile(late, 0.99) * 1e3,
        "late max ms": late[-1] * 1e3,
    }
