"""What a leader does with a due schedule: which instants fire, and when the next one is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec

from pgqueue.jobs.schedules.rows import NEVER, SCHEDULED, Scheduled, ScheduleRow
from pgqueue.jobs.schedules.timing import Timing

MOST_FIRINGS: Final = 1_000
"""The most instants of one schedule that fire in one pass; the rest are due in the next."""
MOST_NOTED: Final = 100
"""The most instants passed over that are noted as firings: the latest ones."""
LATE: Final = timedelta(seconds=60)
CATCH_UP: Final = timedelta(days=1)
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class FiringPlan:
    """What to do with a row: make a job for each of *firings*, oldest first, and set its *last_at*
    and *next_at*.

    *passed*: the instants that are noted as `missed` and get no job. *next_at* is NEVER when the
    schedule is over; it is due already when one pass does not handle all missed instants.
    """

    firings: tuple[Scheduled, ...]
    passed: tuple[datetime, ...]
    last_at: datetime | None
    next_at: datetime


def plan_firings(row: ScheduleRow, now: datetime) -> FiringPlan:
    """Return what to do with *row* at *now*; where nothing is due, only its *next_at* is set.

    Raises InvalidSchedule when the row cannot be read.
    """
    row.check(row.name)
    if row.next_at is None or (row.last_at is not None and row.next_at <= row.last_at):
        return FiringPlan((), (), row.last_at, row.first_after(_latest_of(now, row.last_at)))
    newest_possible = now if row.ends_at is None else min(now, row.ends_at - _TICK)
    if row.next_at > newest_possible:
        over = row.ends_at is not None and row.next_at >= row.ends_at
        return FiringPlan((), (), row.last_at, NEVER if over else row.next_at)
    timing = row.timing()
    if row.missed == "latest":
        return _latest(row, timing, row.next_at, newest_possible, now)
    late = LATE if row.missed == "skip" else _catch_up(row)
    horizon = now - (CATCH_UP if late is None else late)
    return _each(row, timing, row.next_at, newest_possible, horizon)


def reconsidered(row: ScheduleRow, now: datetime) -> datetime:
    """Return *row*'s next instant, computed anew: when a leader takes over, with its own zones.

    An instant that is due already stays due.
    """
    if row.next_at is not None and row.next_at <= now:
        return row.next_at
    return row.first_after(_latest_of(now, row.last_at))


def job_of(row: ScheduleRow, firing: Scheduled) -> str:
    """Return the element that `enqueue` takes for *firing*.

    The job is due at the instant plus the schedule's jitter; it has the key of *row* where
    unfinished jobs must not overlap and the job has no key of its own.
    """
    job: dict[str, Any] = {**row.job}
    delayed = jitter_of(row.name, firing.instant, timedelta(seconds=row.jitter_seconds))
    if delayed and not firing.manual:
        job["run_at"] = firing.instant + delayed
    if row.overlap == "skip":
        job.setdefault("unique_key", overlap_key(row.name))
    job["metadata"] = {**(job.get("metadata") or {}), SCHEDULED: firing}
    job["wake"] = True
    return msgspec.json.encode(job).decode()


def overlap_key(name: str) -> str:
    """Return the unique key of the unfinished job of the schedule *name*."""
    return f"schedule/{name}"


def jitter_of(name: str, instant: datetime, jitter: timedelta) -> timedelta:
    """Return how much later than *instant* the schedule *name* runs: less than *jitter*, and the
    same in every process."""
    span = jitter // _TICK
    if span <= 0:
        return timedelta(0)
    text = f"{name} {instant.astimezone(UTC).isoformat()}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return timedelta(microseconds=int.from_bytes(digest, "big") % span)


def _latest(
    row: ScheduleRow, timing: Timing, oldest: datetime, until: datetime, now: datetime
) -> FiringPlan:
    """One job, for the latest of the instants that are due."""
    newest = max(timing.latest(until) or oldest, oldest)
    following = row.first_after(newest)
    catch_up = _catch_up(row)
    if catch_up is not None and newest < now - catch_up:
        return FiringPlan((), (newest,), newest, following)
    between = islice(timing.instants(oldest + _TICK, newest), MOST_FIRINGS - 1)
    missed = 0 if newest == oldest else 1 + sum(1 for _ in between)
    firing = Scheduled(name=row.name, instant=newest, previous=row.last_at, missed=missed)
    return FiringPlan((firing,), (), newest, following)


def _each(
    row: ScheduleRow, timing: Timing, oldest: datetime, until: datetime, horizon: datetime
) -> FiringPlan:
    """A job for each instant from *horizon* on; those before it are passed over."""
    passed: list[datetime] = []
    if oldest < horizon:
        before = timing.latest(min(horizon - _TICK, until))
        while before is not None and before > oldest and len(passed) < MOST_NOTED:
            passed.append(before)
            before = timing.latest(before - _TICK)
        if len(passed) < MOST_NOTED:
            passed.append(oldest)
        passed.reverse()
        due = list(islice(timing.instants(horizon, until + _TICK), MOST_FIRINGS))
    else:
        later = islice(timing.instants(oldest + _TICK, until + _TICK), MOST_FIRINGS - 1)
        due = [oldest, *later]
    last_at = passed[-1] if passed else row.last_at
    firings = []
    for instant in due:
        firings.append(Scheduled(name=row.name, instant=instant, previous=last_at))
        last_at = instant
    assert last_at is not None
    return FiringPlan(tuple(firings), tuple(passed), last_at, row.first_after(last_at))


def _catch_up(row: ScheduleRow) -> timedelta | None:
    return None if row.catch_up_seconds is None else timedelta(seconds=row.catch_up_seconds)


def _latest_of(now: datetime, last_at: datetime | None) -> datetime:
    return now if last_at is None else max(now, last_at)
