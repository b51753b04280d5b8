"""The tally: what workers have counted, minute by minute, and the sums of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from pgqueue.jobs.tally import Histogram, Series
from pgqueue.operations.operation import Answers, Operation, Plan, nothing
from pgqueue.operations.params import EPOCH, as_json, from_microseconds, microseconds

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
SETTLED: Final = timedelta(minutes=5)
"""After this time no process adds to a minute any more."""
MINUTES_KEPT: Final = timedelta(hours=48)
HOURS_KEPT: Final = timedelta(days=90)
FOLDED_BACK: Final = timedelta(hours=2)
PORTION: Final = 10_000
EVERYBODY: Final = 0
AHEAD: Final = -1
"""The worker of an hour that is summed up while its minutes are still kept."""
AGAIN: Final = timedelta(hours=2)
"""The sums of so late hours are said again, as a minute may still be added to them."""


class _Counts(msgspec.Struct):
    outcomes: dict[str, int] = {}
    waited: Histogram = msgspec.field(default_factory=Histogram)
    ran: Histogram = msgspec.field(default_factory=Histogram)


_COUNTS: Final = msgspec.json.Decoder(_Counts, strict=False)


class TallyRow(NamedTuple):
    """What *worker* has counted of one task in one queue, from *at* on for a *span*: a minute or an
    hour. Worker 0: all workers; -1: all, of an hour whose minutes are there too."""

    at: datetime
    span: timedelta
    worker: int
    series: Series


def tally(rows: Iterable[TallyRow]) -> Operation[None]:
    """Note *rows*; one that is noted again takes the place of the one before."""
    return Operation("tally", {"rows": as_json([_document(row) for row in rows])}, nothing)


def tallied(
    since: datetime,
    until: datetime,
    *,
    span: timedelta = MINUTE,
    queue: str | None = None,
    limit: int = PORTION,
) -> Operation[list[TallyRow]]:
    """Read what was counted from *since* on and before *until*, in the order of time."""
    params = {
        "seconds": str(int(span.total_seconds())),
        "since": str(microseconds(since)),
        "until": str(microseconds(until)),
        "queue": queue,
        "limit": str(limit),
    }
    return Operation("tallied", params, lambda answers: [_row(*row) for row in answers[0]])


def fold(gone: Iterable[TallyRow], rows: Iterable[TallyRow], before: datetime) -> Operation[bool]:
    """Put *rows*, sums, in the place of those that are *gone*, if all of these are still there, and
    say whether they were. Hours that began *before* go too."""
    keys = [_key(row) for row in gone]
    params = {
        "replaced": as_json(keys),
        "rows": as_json([_document(row) for row in rows]),
        "before": str(microseconds(before)),
    }

    def decode(answers: Answers) -> bool:
        return bool(answers[-1][0][0])

    return Operation("fold", params, decode)


def folding(now: datetime) -> Plan[int]:
    """Sum up the workers of minutes that are settled, and minutes that are old to hours, until
    nothing is left; say how many rows have gone."""
    settled = _begin(now - SETTLED, MINUTE)
    gone: int = yield from _folding(settled - FOLDED_BACK, settled, MINUTE)
    gone += yield from _folding(EPOCH, _begin(now - MINUTES_KEPT, HOUR), HOUR)
    yield fold([], [], now - HOURS_KEPT)
    return gone


def _folding(since: datetime, until: datetime, span: timedelta) -> Plan[int]:
    """Sum up minutes, by *span*, a portion in a transaction; say how many rows have gone.

    Stop where somebody else folds the same. An hour's sum may grow by several portions.
    """
    gone = 0
    begins: datetime | None = since
    while begins is not None:
        rows, begins = yield from _portion(begins, until, MINUTE)
        there: list[TallyRow] = []
        if rows and span == HOUR:
            there = yield from _all_of(_begin(rows[0].at, HOUR), rows[-1].at + MINUTE, HOUR)
        replaced, sums = folded([*there, *rows], span)
        if replaced:
            whole: bool = yield fold(replaced, sums, EPOCH)
            if not whole:
                return gone
        gone += len(replaced)
    return gone


def summing(now: datetime) -> Plan[int]:
    """Sum up the hours whose minutes are still kept, so that a chart of days reads hours; say how
    many sums were noted.

    They are noted beside the minutes, and go when these do. The latest ones are said again.
    """
    settled = _begin(now - SETTLED, HOUR)
    first = _begin(now - MINUTES_KEPT, HOUR)
    there: list[TallyRow] = yield from _all_of(first, settled, HOUR)
    known = {row.at for row in there}
    noted = 0
    for ago in range(int((settled - first) / HOUR), 0, -1):
        at = settled - ago * HOUR
        if at in known and at < settled - AGAIN:
            continue
        rows: list[TallyRow] = yield from _all_of(at, at + HOUR)
        _, sums = folded(rows, HOUR)
        if sums:
            yield tally([row._replace(worker=AHEAD) for row in sums])
            noted += len(sums)
    return noted


def _all_of(since: datetime, until: datetime, span: timedelta = MINUTE) -> Plan[list[TallyRow]]:
    """Read all there is, however many rows that are, a portion at a time."""
    rows: list[TallyRow] = []
    begins: datetime | None = since
    while begins is not None:
        some, begins = yield from _portion(begins, until, span)
        rows += some
    return rows


def _portion(
    since: datetime, until: datetime, span: timedelta
) -> Plan[tuple[list[TallyRow], datetime | None]]:
    """Read whole instants, PORTION rows or one instant that has more; say where the rest begins."""
    limit = PORTION
    while True:
        some: list[TallyRow] = yield tallied(since, until, span=span, limit=limit)
        if len(some) < limit:
            return some, None
        last = some[-1].at  # of which there may be more
        if some[0].at < last:
            return [row for row in some if row.at < last], last
        limit *= 2


def folded(rows: Iterable[TallyRow], span: timedelta) -> tuple[list[TallyRow], list[TallyRow]]:
    """Return which of *rows* a sum can take the place of, and these sums."""
    groups: dict[tuple[datetime, str, str], list[TallyRow]] = {}
    for row in rows:
        key = _begin(row.at, span), row.series.queue, row.series.task
        groups.setdefault(key, []).append(row)
    gone: list[TallyRow] = []
    sums: list[TallyRow] = []
    for (at, queue, task), group in groups.items():
        if all(row.worker <= EVERYBODY and row.span == span for row in group):
            continue
        total = Series(queue, task)
        for row in group:
            if row.worker != AHEAD:
                total += row.series
        gone += group
        sums.append(TallyRow(at, span, EVERYBODY, total))
    return gone, sums


def minute_of(at: datetime) -> datetime:
    """Return when the minute of *at* began."""
    return _begin(at, MINUTE)


def _begin(at: datetime, span: timedelta) -> datetime:
    return at - (at - EPOCH) % span


def _key(row: TallyRow) -> dict[str, Any]:
    return {
        "at": microseconds(row.at),
        "seconds": int(row.span.total_seconds()),
        "worker": row.worker,
        "queue": row.series.queue,
        "task": row.series.task,
    }


def _document(row: TallyRow) -> dict[str, Any]:
    series = row.series
    figures = {"outcomes": series.outcomes, "waited": series.waited, "ran": series.ran}
    return {**_key(row), "figures": figures}


def _row(at: int, seconds: int, worker: int, queue: str, task: str, figures: str) -> TallyRow:
    counts = _COUNTS.decode(figures)
    series = Series(queue, task, counts.outcomes, counts.waited, counts.ran)
    return TallyRow(from_microseconds(at), timedelta(seconds=seconds), worker, series)
