"""The last hour of each queue, in steps, as workers have counted it: read from the tally alone."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from pgqueue.jobs.tally import Histogram
from pgqueue.operations import Plan
from pgqueue.operations.tallying import MINUTE, TallyRow, minute_of, tallied

STEP: Final = 2 * MINUTE
STEPS: Final = 30
PIECES: Final = 3
ROWS: Final = 5_000
"""So many rows of each third of the hour are read at the most: one a minute, queue, task, and
worker where these are not summed up yet."""


class QueueHour(msgspec.Struct):
    """How many attempts *ended* in each step, and how long 99 % of those that began had waited."""

    name: str
    ended: list[int]
    waited_p99_seconds: list[float | None]


class Hour(msgspec.Struct):
    """Up to the last full minute. Not *exact*: there was more than was read."""

    until: datetime
    exact: bool
    queues: list[QueueHour]


def last_hour(now: datetime) -> Plan[Hour]:
    """Read the hour before *now*, queue by queue."""
    until = minute_of(now)
    piece = STEP * (STEPS // PIECES)
    rows: list[TallyRow] = []
    exact = True
    for n in range(PIECES, 0, -1):
        some: list[TallyRow] = yield tallied(until - n * piece, until - (n - 1) * piece, limit=ROWS)
        rows += some
        exact &= len(some) < ROWS
    return Hour(until, exact, _by_queue(rows, until - STEPS * STEP))


def _by_queue(rows: list[TallyRow], since: datetime) -> list[QueueHour]:
    ended: dict[str, list[int]] = {}
    waited: dict[str, list[Histogram]] = {}
    for row in rows:
        queue, step = row.series.queue, int((row.at - since) / STEP)
        if queue not in ended:
            ended[queue] = [0] * STEPS
            waited[queue] = [Histogram() for _ in range(STEPS)]
        ended[queue][step] += sum(row.series.outcomes.values())
        waited[queue][step] += row.series.waited
    return [
        QueueHour(queue, ended[queue], [each.quantile(0.99) for each in waited[queue]])
        for queue in sorted(ended)
    ]
