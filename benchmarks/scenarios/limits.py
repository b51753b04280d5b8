"""limits: what keys and limits cost, whether they hold, and how soon a key has its turn."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from benchmarks.figures import Figures, overlaps
from benchmarks.scenarios import Case
from benchmarks.scenarios.held import _holder
from benchmarks.stand import Failed, Stand

JOBS = 40_000
ROUNDS = 4
KEYS = 100
REST_SECONDS = 0.005
OURS = ("pgqueue",)


def cases(size: int | None) -> list[Case]:
    jobs = size or JOBS
    postgres = ("postgres",)
    by_key = {"key_concurrency": 2}
    return [
        _case("no keys", partial(measure, jobs=jobs, processes=2)),
        _case(
            "1,000 keys, two each", partial(measure, jobs=jobs, processes=2, keys=1_000, **by_key)
        ),
        _case("hand over hand", partial(measure, jobs=jobs // 20, keys=1, ordered=True)),
        *(
            Case(
                f"{KEYS} keys, {number} each: overlaps",
                partial(measure_overlaps, jobs=jobs, limit=limit),
                OURS,
                "pgqueue",
            )
            for limit, number in ((1, "one"), (2, "two"))
        ),
        _case("held snapshot, 100 keys", partial(measure_held, jobs=jobs, keys=100), postgres),
        _case("a new key", partial(measure_new, jobs=jobs), postgres),
        _case("all keys but one full", partial(measure_full, keys=jobs // 4), postgres),
    ]


def _case(
    title: str, measure: Any, backends: tuple[str, ...] = ("postgres", "sqlite", "redis")
) -> Case:
    """One of ours alone."""
    return Case(title, measure, OURS, "pgqueue", backends, peers=False)


def measure(
    stand: Stand, *, jobs: int, processes: int = 1, keys: int = 0, **limits: Any
) -> Figures:
    """As drain does, but for the limits."""
    if limits:
        stand.ask("limit", **limits)
    with stand.crew(processes) as crew:
        since = time.time()
        stand.ask("fill", count=jobs, keys=keys)
        ended = stand.await_done(crew, jobs)
    return {"jobs/s": jobs / (ended - crew.began(since))}


def measure_overlaps(stand: Stand, *, jobs: int, limit: int) -> Figures:
    """Whether two workers keep to it together, by what the jobs themselves note.

    Between a claim and a job's first line, and between its last line and its end in the store, it
    is not seen: what is counted did happen, and may be fewer than there were.
    """
    jobs = min(stand.jobs(jobs), stand.contender.most_limited)
    stand.ask("fill_limited", count=jobs, keys=KEYS, limit=limit, seconds=REST_SECONDS)
    with stand.crew(2, keys=KEYS, limit=limit) as crew:
        ended = stand.await_done(crew, jobs)
    if len(crew.runs) < jobs:
        raise Failed(f"of {jobs:,} jobs {len(crew.runs):,} noted their run")
    most, above = overlaps(crew.runs, limit)
    return {
        "jobs/s": jobs / (ended - crew.began(0.0)),
        "most at once": most,
        "above the limit": above,
    }


def measure_held(stand: Stand, *, jobs: int, keys: int) -> Figures:
    """While a forgotten transaction keeps vacuum from working."""
    stand.ask("limit", key_concurrency=20)
    size, rounds = jobs // ROUNDS, []
    with _holder(stand.url), stand.crew() as crew:
        for number in range(1, ROUNDS + 1):
            since = time.time()
            stand.ask("fill", count=size, keys=keys)
            rounds.append((since, stand.await_done(crew, number * size)))
    rates = [size / (ended - crew.began(since)) for since, ended in rounds]
    return {
        "first jobs/s": rates[0],
        "last jobs/s": rates[-1],
        "last / first": rates[-1] / rates[0],
    }


def measure_new(stand: Stand, *, jobs: int) -> Figures:
    """One job of a new key, behind all those of another, of 1 ms each."""
    with stand.crew():
        stand.ask("fill", count=jobs, keys=1, seconds=0.001)
        waits = sorted(float(stand.ask("new_key")) for _ in range(9))
    return {"ms p50": waits[4] * 1_000, "ms most": waits[-1] * 1_000}


def measure_full(stand: Stand, *, keys: int) -> Figures:
    """One job of a new key, while one of each other key runs and another one waits for it."""
    stand.ask("limit", key_concurrency=1)
    with stand.crew(concurrency=2 * keys) as crew:
        stand.ask("fill", count=2 * keys, keys=keys, seconds=20)
        stand.await_executed(crew, keys)
        waits = sorted(float(stand.ask("new_key")) for _ in range(9))
    return {"ms p50": waits[4] * 1_000, "ms most": waits[-1] * 1_000}
