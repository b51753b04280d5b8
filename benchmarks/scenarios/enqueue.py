"""enqueue: one job a transaction, and many at once, beside a bare INSERT."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import Literal, TypeAlias, get_args

from benchmarks.clients import as_fast_as_they_can
from benchmarks.contenders import Contender
from benchmarks.figures import Figures
from benchmarks.scenarios import Case
from benchmarks.site import connect, workers

Crew: TypeAlias = Literal["no worker", "a worker that takes them", "a worker with no slot free"]
SECONDS = 3.0
SLOTS = 10
BULK = 20_000


def cases(size: int | None) -> list[Case]:
    singles = [
        Case(
            f"{clients} client{'s' if clients > 1 else ''}, {crew}",
            partial(measure, clients=clients, crew=crew),
            ("raw", "raw+notify", "pgqueue"),
        )
        for clients in (1, 8, 32)
        for crew in get_args(Crew)
    ]
    jobs = size or BULK
    return [*singles, Case(f"{jobs:,} jobs in one transaction", partial(measure_bulk, jobs=jobs))]


def measure(contender: Contender, url: str, *, clients: int, crew: Crew) -> Figures:
    """The transactions of all clients together, a second."""
    with contextlib.ExitStack() as stack:
        if crew != "no worker":
            stack.enter_context(workers(contender, url, concurrency=SLOTS))
        if crew == "a worker with no slot free":
            with connect(url) as connection:
                contender.occupy(connection, 2 * SLOTS, SECONDS + 5)
            time.sleep(0.5)
        took = as_fast_as_they_can(contender, url, clients, SECONDS)
    return {"transactions/s": len(took) / SECONDS}


def measure_bulk(contender: Contender, url: str, *, jobs: int) -> Figures:
    with connect(url) as connection:
        began = time.monotonic()
        contender.fill(connection, jobs)
        return {"jobs/s": jobs / (time.monotonic() - began)}
