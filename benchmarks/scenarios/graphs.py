"""graphs: what dependencies cost, beside as many jobs without any."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from benchmarks.contenders import Contender
from benchmarks.figures import Figures, percentile
from benchmarks.scenarios import Case
from benchmarks.site import await_span, burst, connect, workers

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
        Case(title, partial(measure, shape=shape), ("pgqueue",), "pgqueue")
        for title, shape in shapes.items()
    ]


def lattice(side: int) -> Shape:
    """Each cell waits for the one above it and the one to its left."""
    return [
        [row * side + column - back for back, there in ((side, row), (1, column)) if there]
        for row in range(side)
        for column in range(side)
    ]


def measure(contender: Contender, url: str, *, shape: Shape) -> Figures:
    with workers(contender, url), connect(url) as connection:
        independent = burst(contender, connection, len(shape))
        began = time.monotonic()
        mark = contender.graph(connection, shape)
        enqueued = time.monotonic() - began
        span = await_span(contender, connection, mark, len(shape))
        hops = sorted(contender.hops(connection, mark))
    return {
        "enqueued jobs/s": len(shape) / enqueued,
        "jobs/s": len(shape) / span.seconds,
        "x independent": independent.seconds / span.seconds,
        "hop p50 ms": percentile(hops, 0.5) * 1e3,
        "hop p99 ms": percentile(hops, 0.99) * 1e3,
    }
