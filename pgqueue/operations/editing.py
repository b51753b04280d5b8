"""What people do with schedules: put, remove, pause, resume, change, reset, run and make up for.

Each plan reads rows, decides in Python, and writes the rows that nobody has written meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace

from pgqueue.errors import InvalidSchedule, UnknownSchedule
from pgqueue.jobs.job import State
from pgqueue.jobs.schedules.merging import change, reset
from pgqueue.jobs.schedules.rows import Declaration, ScheduleRow
from pgqueue.jobs.schedules.schedule import Schedule
from pgqueue.operations import firing
from pgqueue.operations.declaring import said, written
from pgqueue.operations.firing import Fired, edit
from pgqueue.operations.operation import Plan
from pgqueue.operations.params import EVERYTHING
from pgqueue.operations.schedules import (
    KEPT,
    MOST_KEPT,
    ScheduleWrite,
    firings,
    schedules,
    unschedule,
)

PORTION: Final = 500


def put(given: Schedule, *, now: datetime | None = None) -> Plan[bool]:
    """Make a schedule at run time, or change the one of its name; answer whether that changed
    anything.

    People's changes stay, except of fields that *given* has another value for now. Raises
    InvalidSchedule for a name that code has declared.
    """

    def edited(name: str, row: ScheduleRow | None, clock: datetime) -> ScheduleWrite | None:
        if row is not None and row.source == "code":
            raise InvalidSchedule(
                f"{name}: the code of {row.owner} declares this schedule; give another name, or "
                "change it at run time (app.schedules.change)"
            )
        return said(given, row, clock)

    written = yield from edit([given.name], edited, now=now)
    return bool(written)


def remove(names: Iterable[str]) -> Plan[set[str]]:
    """Delete schedules that were made at run time; answer which there were.

    Raises InvalidSchedule for one that code declares: the next worker would make it again.
    """
    wanted = sorted(set(names))
    found = yield schedules(wanted, limit=max(1, len(wanted)))
    for row in found.rows:
        if row.source == "code" and row.retired_at is None:
            raise InvalidSchedule(
                f"{row.name}: the code of {row.owner} declares this schedule; pause it, or take it "
                "out of the code"
            )
    removed: set[str] = yield unschedule(wanted)
    return removed


def pause(name: str, by: str | None = None, *, now: datetime | None = None) -> Plan[bool]:
    """Let a schedule fire no more, through deploys and edits; answer whether it did before."""

    def edited(row: ScheduleRow, clock: datetime) -> ScheduleWrite | None:
        if row.paused_at is not None:
            return None
        return ScheduleWrite(replace(row, paused_at=clock, paused_by=by))

    return _edit_one(name, edited, now)


def resume(name: str, *, catch_up: bool = False, now: datetime | None = None) -> Plan[bool]:
    """Let a paused schedule fire again; answer whether it was paused.

    The instants of the pause are dropped; with *catch_up* they count as missed.
    """

    def edited(row: ScheduleRow, clock: datetime) -> ScheduleWrite | None:
        if row.paused_at is None:
            return None
        resumed = replace(row, paused_at=None, paused_by=None)
        if catch_up:
            return ScheduleWrite(resumed)
        return ScheduleWrite(replace(resumed, next_at=row.first_after(clock)), moved=True)

    return _edit_one(name, edited, now)


def alter(name: str, columns: Mapping[str, Any], *, now: datetime | None = None) -> Plan[bool]:
    """Change columns of a schedule at run time; answer whether that changes anything.

    It takes effect at once and survives deploys; where it changes when it fires, that is strictly
    after now. Raises InvalidSchedule when the result is no valid schedule.
    """

    def edited(row: ScheduleRow, clock: datetime) -> ScheduleWrite | None:
        merged = change(_declared(row), row.changes, columns)
        if merged.in_force == _in_force(row) and merged.changes == row.changes:
            return None
        return written(row, merged, clock)

    return _edit_one(name, edited, now)


def restore(name: str, *, now: datetime | None = None) -> Plan[bool]:
    """Undo all changes that people have made to a schedule; answer whether there were any."""

    def edited(row: ScheduleRow, clock: datetime) -> ScheduleWrite | None:
        return written(row, reset(_declared(row)), clock) if row.changes else None

    return _edit_one(name, edited, now)


def run_now(
    name: str,
    *,
    force: bool = False,
    keep: frozenset[State] = EVERYTHING,
    notify: bool = True,
    now: datetime | None = None,
) -> Plan[Fired]:
    """Enqueue the job of a schedule now, also while it is paused; its next instant stays.

    Unless *force*, the schedule's rule for overlaps holds.
    """
    row = yield from read(name, now=now)
    fired = yield from firing.run(row, force=force, keep=keep, notify=notify, now=now)
    return fired


def make_up(
    name: str,
    since: datetime,
    until: datetime,
    *,
    force: bool = False,
    notify: bool = True,
    now: datetime | None = None,
) -> Plan[Fired]:
    """Enqueue a job for each instant from *since* on and before *until* that had none.

    Raises InvalidSchedule beyond what is remembered of earlier firings, where a job may run twice,
    unless *force*; and for instants that are ahead, which the schedule itself fires.
    """
    found = yield schedules([name], now=now)
    row = _only(name, found.rows)
    if until > found.now:
        raise InvalidSchedule(
            f"{name}: until: {until} lies ahead: there the schedule fires by itself"
        )
    instants = list(row.timing().instants(since, until, None if force else MOST_KEPT + 1))
    if not force:
        remembered = found.now - KEPT
        kept = yield firings(name, limit=MOST_KEPT)
        if len(kept) >= MOST_KEPT:
            remembered = max(remembered, min(each.instant for each in kept))
        if since < remembered or len(instants) > MOST_KEPT:
            raise InvalidSchedule(
                f"{name}: since {since}: firings before {remembered:%Y-%m-%d %H:%M} UTC, and "
                f"more than {MOST_KEPT:,} of them, are not remembered, so some jobs may run twice; "
                "force makes them all the same"
            )
    told = Fired()
    for start in range(0, len(instants), PORTION):
        portion = instants[start : start + PORTION]
        fired = yield from firing.backfill(row, portion, notify=notify, now=now)
        told.became += fired.became
        told.topics |= fired.topics
    return told


def read(name: str, *, now: datetime | None = None) -> Plan[ScheduleRow]:
    """Read one schedule; raises UnknownSchedule, and InvalidSchedule for an unreadable row."""
    found = yield schedules([name], now=now)
    for row in found.unreadable:
        raise InvalidSchedule(f"{name}: its row cannot be read: {row.why}")
    return _only(name, found.rows)


def _only(name: str, rows: Sequence[ScheduleRow]) -> ScheduleRow:
    if not rows:
        raise UnknownSchedule(no_schedule(name))
    return rows[0]


def no_schedule(name: str) -> str:
    """Return the sentence that there is no schedule *name*."""
    return f"{name}: there is no schedule of this name; see `schedules list`"


def _edit_one(
    name: str,
    edited: Callable[[ScheduleRow, datetime], ScheduleWrite | None],
    now: datetime | None,
) -> Plan[bool]:
    def known(_: str, row: ScheduleRow | None, clock: datetime) -> ScheduleWrite | None:
        return edited(_only(name, [] if row is None else [row]), clock)

    written = yield from edit([name], known, now=now)
    return bool(written)


def _declared(row: ScheduleRow) -> Declaration:
    return _in_force(row) if row.declared is None else row.declared


def _in_force(row: ScheduleRow) -> Declaration:
    columns = Declaration.__struct_fields__
    return Declaration(**{column: getattr(row, column) for column in columns})
