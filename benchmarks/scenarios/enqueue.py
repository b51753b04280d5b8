"""enqueue: one job a transaction, and many at once, beside a bare INSERT."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from statistics import median
from typing import Literal, TypeAlias, get_args

from benchmarks.contenders.through import Kind
from benchmarks.figures import Figures
from benchmarks.scenarios import Case
from benchmarks.stand import Stand

Crew: TypeAlias = Literal["no worker", "a worker that takes them", "a worker with no slot free"]
SECONDS = 3.0
SLOTS = 10
BULK = 20_000
WARM_UP = 100  # what a first call imports, prepares and plans is another matter


def cases(size: int | None) -> list[Case]:
    singles = [
        Case(
            f"{clients} client{'s' if clients > 1 else ''}, {crew}",
            partial(measure, clients=clients, crew=crew),
            ("raw", "raw+notify", "pgqueue"),
        )
        for clients in (1, 8, 16, 32)
        for crew in get_args(Crew)
    ]
    jobs = size or BULK
    kinds = [
        Case(f"1 client, {kind}", partial(measure_kind, kind=kind), backends=("postgres",))
        for kind in get_args(Kind)
    ]
    bulk = partial(measure_bulk, jobs=jobs)
    single = partial(measure, clients=1, crew="no worker")
    traced = [
        Case(title, ask, ("pgqueue", "pgqueue/traced"), "pgqueue", ("postgres",))
        for title, ask in (
            (f"{jobs:,} jobs at once, with spans of OpenTelemetry", bulk),
            ("1 client, with spans of OpenTelemetry", single),
        )
    ]
    return [Case(f"{jobs:,} jobs at once", bulk), *singles, *traced, *kinds]


def measure(stand: Stand, *, clients: int, crew: Crew) -> Figures:
    """The transactions of all clients together, a second."""
    with contextlib.ExitStack() as stack:
        if crew != "no worker":
            stack.enter_context(stand.crew(concurrency=SLOTS, keep=False))
        if crew == "a worker with no slot free" and not stand.contender.name.startswith("raw"):
            stand.ask("fill", count=2 * SLOTS, seconds=SECONDS + 10)
            time.sleep(0.5)
        took = stand.crowd(clients, SECONDS)
    return {"jobs/s": len(took) / SECONDS}


def measure_kind(stand: Stand, *, kind: Kind) -> Figures:
    """One client's transactions a second; raw's: INSERT … RETURNING, by the same kind."""
    took = stand.crowd(1, SECONDS, through=kind)
    return {"jobs/s": len(took) / SECONDS, "median µs": median(took) * 1e6}


def measure_bulk(stand: Stand, *, jobs: int) -> Figures:
    stand.ask("fill", count=WARM_UP)
    return {"jobs/s": jobs / stand.seconds("fill", count=jobs)}
