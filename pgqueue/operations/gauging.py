"""How much waits and runs in each queue, minute by minute: rows of the tally that are no task's."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final

from pgqueue.jobs.job import State
from pgqueue.jobs.tally import Series
from pgqueue.operations.counting import Count, Counts, count, oldest_due
from pgqueue.operations.operation import Plan
from pgqueue.operations.tallying import EVERYBODY, MINUTE, TallyRow, minute_of, tally

QUEUE_ITSELF: Final = ""
"""The task of a row that says how a queue is; no task is called so."""
LOOKS, WAITING, RUNNING = "looks", "waiting", "running"
"""Its counts are sums over so many looks, and can be added as all others; what has been due for
longest at each look is its histogram *waited*."""


def gauging(now: datetime) -> Plan[int]:
    """Note for this minute what waits and runs in each queue, counted up to ten thousand of each;
    say of how many queues. Of a queue that has no live job nothing is noted."""
    found: Counts = yield count()
    queues: defaultdict[str, list[Count]] = defaultdict(list)
    for each in found.counts:
        queues[each.queue].append(each)
    rows = [
        TallyRow(minute_of(now), MINUTE, EVERYBODY, _gauge(queue, counts))
        for queue, counts in queues.items()
    ]
    if rows:
        yield tally(rows)
    return len(rows)


def _gauge(queue: str, counts: list[Count]) -> Series:
    series = Series(queue, QUEUE_ITSELF)
    series.count(LOOKS)
    of = {each.state: each.count for each in counts}
    series.count(WAITING, of.get(State.AVAILABLE, 0))
    series.count(RUNNING, of.get(State.RUNNING, 0))
    if (late := oldest_due(counts)) is not None:
        series.waited.add(late.total_seconds())
    return series
