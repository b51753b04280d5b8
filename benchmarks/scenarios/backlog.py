"""backlog: what millions of waiting, scheduled and finished jobs cost those that come and go."""

from __future__ import annotations

from functools import partial

from benchmarks.figures import Figures
from benchmarks.scenarios import Case
from benchmarks.stand import Stand

MILLIONS = (0, 1_000_000, 10_000_000)
RUN = 50_000
SINGLES = 2_000
SECONDS = 3.0
BULK = 20_000


def cases(size: int | None) -> list[Case]:
    sizes = (0, size) if size is not None else MILLIONS
    return [
        Case(
            f"{stock:,} waiting, scheduled and archived",
            partial(measure, stock=stock),
            backends=("postgres",),
        )
        for stock in sizes
    ]


def measure(stand: Stand, *, stock: int) -> Figures:
    """Twice as many jobs as are run are always waiting."""
    stand.ask("stock", waiting=stock + 2 * RUN, scheduled=stock, finished=stock)
    stand.store.settle()
    bulk = BULK / stand.seconds("fill", count=BULK)
    singles = len(stand.crowd(1, SECONDS)) / SECONDS
    cycles = SINGLES / stand.ask("cycle", count=SINGLES)
    with stand.crew() as crew:
        stand.await_executed(crew, RUN + RUN // 10)
    starts = crew.starts[RUN // 10 : RUN]
    return {
        "drain jobs/s": (len(starts) - 1) / (starts[-1] - starts[0]),
        "claimed and completed one by one, jobs/s": cycles,
        "enqueue transactions/s": singles,
        "bulk enqueue jobs/s": bulk,
    }
