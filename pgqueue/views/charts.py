"""What the tally says of a period: how many jobs ended, how long they waited and ran, in steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from pgqueue.jobs.tally import Histogram, Series
from pgqueue.operations import Plan
from pgqueue.operations.gauging import LOOKS, QUEUE_ITSELF, RUNNING, WAITING
from pgqueue.operations.params import EPOCH
from pgqueue.operations.tallying import HOUR, MINUTE, TallyRow, tallied

ROWS: Final = 10_000
"""So many rows of the tally are read at the most: one for each minute or hour, queue and task."""
PIECES: Final = 12
UNSUMMED: Final = timedelta(hours=2)
"""Of so much time there may be minutes whose hour is not summed up yet."""
LINES: Final = 12


class Period(NamedTuple):
    """A length of time up to now, in steps; *span*: the length of the rows that a step sums up."""

    words: str
    length: timedelta
    step: timedelta
    span: timedelta


PERIODS: Final = {
    "hour": Period("hour", timedelta(hours=1), MINUTE, MINUTE),
    "days": Period("2 days", timedelta(days=2), HOUR, HOUR),
    "week": Period("7 days", timedelta(days=7), timedelta(hours=3), HOUR),
    "month": Period("30 days", timedelta(days=30), timedelta(hours=12), HOUR),
}


class Point(msgspec.Struct):
    """What ended in one step, and how long that waited and ran; None where nothing did.

    *waiting*, *running*: so many jobs, on the average of the leader's looks, one a minute;
    *oldest_due_seconds*: at the worst of them. None where it saw none.
    """

    at: datetime
    completed: int = 0
    retried: int = 0
    discarded: int = 0
    cancelled: int = 0
    snoozed: int = 0
    waited_p50_seconds: float | None = None
    waited_p99_seconds: float | None = None
    ran_p50_seconds: float | None = None
    ran_p99_seconds: float | None = None
    waiting: float | None = None
    running: float | None = None
    oldest_due_seconds: float | None = None


class Trend(msgspec.Struct):
    """One queue or task over the whole period; *ended*: attempts in each step."""

    name: str
    ended: list[int]
    completed: int = 0
    retried: int = 0
    discarded: int = 0
    waited_p50_seconds: float | None = None
    waited_p99_seconds: float | None = None
    ran_p50_seconds: float | None = None
    ran_p99_seconds: float | None = None


class Chart(msgspec.Struct):
    """A period as workers have reported it: each does once a minute, so the last one is left out.

    *total*: the whole period, at its beginning. *known_from*: where the tally had more rows than
    are read, what is older is not there. Of *tasks* those come first that ended most.
    """

    period: str
    words: str
    step_seconds: int
    since: datetime
    until: datetime
    points: list[Point]
    total: Point
    queues: list[Trend]
    tasks: list[Trend]
    known_from: datetime | None = None


class QueueHour(msgspec.Struct):
    """How many attempts *ended* in each step, and how long 99 % of those that began had waited."""

    name: str
    ended: list[int]
    waited_p99_seconds: list[float | None]


class Hour(msgspec.Struct):
    """Up to the last full minute, in steps of two. Not *exact*: there was more than was read."""

    until: datetime
    exact: bool
    queues: list[QueueHour]


class _Sum:
    """Several series, step by step."""

    def __init__(self, steps: int) -> None:
        self.outcomes: list[dict[str, int]] = [{} for _ in range(steps)]
        self.waited = [Histogram() for _ in range(steps)]
        self.ran = [Histogram() for _ in range(steps)]

    def add(self, step: int, series: Series) -> None:
        outcomes = self.outcomes[step]
        for outcome, count in series.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        self.waited[step] += series.waited
        self.ran[step] += series.ran

    def point(self, at: datetime, steps: Iterable[int]) -> Point:
        """Return what ended in *steps*, as one."""
        outcomes: dict[str, int] = {}
        waited, ran = Histogram(), Histogram()
        for step in steps:
            for outcome, count in self.outcomes[step].items():
                outcomes[outcome] = outcomes.get(outcome, 0) + count
            waited += self.waited[step]
            ran += self.ran[step]
        return Point(
            at,
            **{name: outcomes.get(name, 0) for name in _OUTCOMES},
            waited_p50_seconds=_rounded(waited.quantile(0.5)),
            waited_p99_seconds=_rounded(waited.quantile(0.99)),
            ran_p50_seconds=_rounded(ran.quantile(0.5)),
            ran_p99_seconds=_rounded(ran.quantile(0.99)),
        )

    def line(self, name: str) -> Trend:
        steps = range(len(self.outcomes))
        point = msgspec.structs.asdict(self.point(EPOCH, steps))
        ended = [sum(outcomes.values()) for outcomes in self.outcomes]
        return Trend(name, ended, **{f: point[f] for f in Trend.__struct_fields__ if f in point})

    def hour(self, name: str) -> QueueHour:
        ended = [sum(outcomes.values()) for outcomes in self.outcomes]
        return QueueHour(name, ended, [waited.quantile(0.99) for waited in self.waited])


class _Gauges:
    """How queues were, step by step: sums over the leader's looks."""

    def __init__(self, steps: int) -> None:
        self._steps: list[Series] = [Series("", QUEUE_ITSELF) for _ in range(steps)]
        self._looks = [0] * steps

    def add(self, step: int, gauge: Series) -> None:
        # One look sees all queues: the queue that was seen most often says how many there were.
        self._looks[step] = max(self._looks[step], gauge.outcomes.get(LOOKS, 0))
        self._steps[step] += gauge

    def on(self, step: int, point: Point) -> Point:
        """Return *point* with what there was to see in its step."""
        looks, seen = self._looks[step], self._steps[step]
        if not looks:
            return point
        return msgspec.structs.replace(
            point,
            waiting=round(seen.outcomes.get(WAITING, 0) / looks, 1),
            running=round(seen.outcomes.get(RUNNING, 0) / looks, 1),
            oldest_due_seconds=_rounded(seen.waited.quantile(1.0)) or 0.0,
        )


_OUTCOMES: Final = ("completed", "retried", "discarded", "cancelled", "snoozed")


def charting(
    name: str, now: datetime, keep: Callable[[Series], bool], *, queue: str | None = None
) -> Plan[Chart]:
    """Read what ended in the period *name*, of the series that are to be *kept*.

    *queue*: only this one, which the store leaves out the others for. Raises KeyError.
    """
    period = PERIODS[name]
    now = now.astimezone(UTC)
    until = _begin(now, period.step)
    if period.span == HOUR:
        until += period.step
    since = until - period.length
    rows, known = yield from _newest(since, until, period.span, queue)
    if period.span == HOUR:
        # Hours are summed up some time after they are over: until then there are their minutes.
        hours = {row.at for row in rows}
        recent = max(since, _begin(now - UNSUMMED, HOUR))
        minutes, _ = yield from _newest(recent, now, MINUTE, queue)
        rows += [row for row in minutes if _begin(row.at, HOUR) not in hours]
    return _drawn(name, period, since, until, now, [r for r in rows if keep(r.series)], known)


def last_minute(now: datetime, keep: Callable[[Series], bool]) -> Plan[Point]:
    """Read what was counted in the last full minute, of the series that are to be *kept*."""
    until = _begin(now.astimezone(UTC), MINUTE)
    rows, _ = yield from _newest(until - MINUTE, until, MINUTE, None)
    whole = _Sum(1)
    for row in rows:
        if row.series.task != QUEUE_ITSELF and keep(row.series):
            whole.add(0, row.series)
    return whole.point(until - MINUTE, [0])


def last_hour(now: datetime) -> Plan[Hour]:
    """Read the hour before *now*, queue by queue, for a line of text each."""
    until, step = _begin(now.astimezone(UTC), MINUTE), 2 * MINUTE
    since = until - HOUR
    rows, known = yield from _newest(since, until, MINUTE, None)
    queues: defaultdict[str, _Sum] = defaultdict(lambda: _Sum(HOUR // step))
    for row in rows:
        if row.series.task != QUEUE_ITSELF:
            queues[row.series.queue].add((row.at - since) // step, row.series)
    return Hour(until, known == since, [queues[name].hour(name) for name in sorted(queues)])


def _drawn(
    name: str,
    period: Period,
    since: datetime,
    until: datetime,
    now: datetime,
    rows: list[TallyRow],
    known: datetime,
) -> Chart:
    steps = round((until - since) / period.step)
    whole = _Sum(steps)
    queues: dict[str, _Sum] = {}
    tasks: dict[str, _Sum] = {}
    gauges = _Gauges(steps)
    for row in rows:
        step, series = (row.at - since) // period.step, row.series
        if series.task == QUEUE_ITSELF:
            gauges.add(step, series)
            continue
        whole.add(step, series)
        for sums, key in ((queues, series.queue), (tasks, series.task)):
            if key not in sums:
                sums[key] = _Sum(steps)
            sums[key].add(step, series)
    lines = (sums.line(key) for key, sums in tasks.items())
    busiest = sorted(lines, key=lambda line: (-sum(line.ended), line.name))
    return Chart(
        name,
        period.words,
        int(period.step.total_seconds()),
        since,
        min(until, now),
        [gauges.on(n, whole.point(since + n * period.step, [n])) for n in range(steps)],
        whole.point(since, range(steps)),
        [queues[key].line(key) for key in sorted(queues)],
        busiest[:LINES],
        known if known > since else None,
    )


def _newest(
    since: datetime, until: datetime, span: timedelta, queue: str | None
) -> Plan[tuple[list[TallyRow], datetime]]:
    """Read the rows since then, and since when they are all there.

    Where there are too many at once, pieces of the period are read, the newest first.
    """
    rows: list[TallyRow] = yield tallied(since, until, span=span, queue=queue, limit=ROWS)
    if len(rows) < ROWS:
        return rows, since
    rows = []
    piece = max(span, _begin(EPOCH + (until - since) / PIECES, span) - EPOCH)
    while until > since:
        begin, left = max(since, until - piece), ROWS - len(rows)
        some: list[TallyRow] = yield tallied(begin, until, span=span, queue=queue, limit=left)
        if len(some) >= left:
            break
        rows += some
        until = begin
    return rows, until


def _begin(at: datetime, span: timedelta) -> datetime:
    return at - (at - EPOCH) % span


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else float(f"{seconds:.3g}")
