"""graphs: what dependencies cost, beside as many jobs without any."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from benchmarks.figures import Figures, percentile
from benchmarks.scenarios import Case
from benchmarks.stand import Stand

Shape: TypeAlias = Sequence[Sequence[int]]


def cases(size: int | None) -> list[Case]:
    wide = size or 10_000
    side = int(wide**0.5)
    shapes: dict[str, Shape] = {
        f"fan-in: {wide:,} parents, one child": [*([[]] * wide), range(wide)],
        f"fan-out: one parent, {wide:,} children": [[], *([[0]] * wide)],
        f"chain of {wide // 10:,}": [[], *([n] for n in range(wide // 10 - 1))],
        f"lattice of {side} x {side}": lattice(side),
    }
    return [
        Case(title, partial(measure, shape=shape), ("pgqueue",), "pgqueue", ("postgres",))
        for title, shape in shapes.items()
    ]


def lattice(side: int) -> Shape:
    """Each cell waits for the one above it and the one to its left."""
    return [
        [row * side + column - back for back, there in ((side, row), (1, column)) if there]
        for row in range(side)
        for column in range(side)
    ]


def measure(stand: Stand, *, shape: Shape) -> Figures:
    size = len(shape)
    with stand.crew() as crew:
        since = time.time()
        stand.ask("fill", count=size)
        rested = stand.await_done(crew, size)
        enqueued = stand.seconds("graph", parents=[list(parents) for parents in shape])
        ended = stand.await_done(crew, 2 * size)
        hops = sorted(stand.ask("hops"))
    independent = rested - crew.began(since)
    span = ended - crew.began(rested)
    return {
        "enqueued jobs/s": size / enqueued,
        "jobs/s": size / span,
        "x independent": independent / span,
        "hop p50 ms": percentile(hops, 0.5) * 1e3,
        "hop p99 ms": percentile(hops, 0.99) * 1e3,
    }
