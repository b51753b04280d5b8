"""bursts: a thousand jobs at once, then nothing, again and again."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.figures import Figures, percentile
from benchmarks.scenarios import Case
from benchmarks.stand import Stand

ROUNDS = 10
PAUSE_SECONDS = 1.0


def cases(size: int | None) -> list[Case]:
    ours = ("raw", "pgqueue")
    return [
        Case(f"{jobs:,} jobs a second apart", partial(measure, jobs=jobs), ours)
        for jobs in ((size,) if size else (100, 1_000))
    ]


def measure(stand: Stand, *, jobs: int) -> Figures:
    """From just before the call that enqueues them."""
    spans = []
    with stand.crew() as crew:
        for number in range(1, ROUNDS + 1):
            time.sleep(PAUSE_SECONDS)
            sent = time.time()
            stand.ask("fill", count=jobs, sent=sent)
            spans.append(stand.await_done(crew, number * jobs) - sent)
    started = crew.latencies
    return {
        "start p50 ms": percentile(started, 0.5) * 1e3,
        "start p99 ms": percentile(started, 0.99) * 1e3,
        "all done p50 ms": percentile(sorted(spans), 0.5) * 1e3,
    }
