"""Schedules in a store: write them, read them, see what is due, and deal with each instant once.

`pgqueue.operations.firing` has the plans that use several of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from pgqueue.jobs.job import State
from pgqueue.jobs.schedules.rows import FiringOutcome, ScheduleRow
from pgqueue.operations.operation import Answers, Operation, nothing
from pgqueue.operations.params import as_json, instant, microseconds

KEPT: Final = timedelta(days=30)
"""How long the outcome of an instant is kept."""
MOST_KEPT: Final = 1_000
"""For how many instants of one schedule outcomes are kept."""


class ScheduleWrite(NamedTuple):
    """The new value of a row; *new*: no row has this name yet; otherwise *row* has the revision
    read.

    Where *moved*, its *next_at* counts, None for one that the leader computes; else it stays.
    """

    row: ScheduleRow
    new: bool = False
    moved: bool = False


class Unreadable(NamedTuple):
    """A row that is no schedule: *why*."""

    name: str
    revision: int
    next_at: datetime | None
    why: str


class Schedules(NamedTuple):
    """Rows in the order of their names, those that are *unreadable*, and the store's clock."""

    rows: list[ScheduleRow]
    unreadable: list[Unreadable]
    now: datetime


class Due(NamedTuple):
    """What is due, or has still to be computed; the store's clock; how long until the next is."""

    rows: list[ScheduleRow]
    unreadable: list[Unreadable]
    now: datetime
    next_due: timedelta | None


class Advance(NamedTuple):
    """A schedule goes on, if *next_at* is still what it *was*; *last_at* None leaves that."""

    name: str
    revision: int
    was: datetime | None
    last_at: datetime | None
    next_at: datetime | None
    problem: str | None = None


class Instant(NamedTuple):
    """An instant of a schedule that is dealt with; None: now."""

    schedule: str
    instant: datetime | None
    outcome: FiringOutcome


class Holder(NamedTuple):
    """The unfinished job that has a unique key."""

    id: int
    state: State


class Dealt(NamedTuple):
    """The instants that nobody had dealt with before, and who holds which key."""

    instants: list[tuple[str, datetime]]
    holders: dict[str, Holder]


class Became(NamedTuple):
    """What became of an instant: its *job*, or the one that stood in its way."""

    schedule: str
    instant: datetime
    job: int | None
    outcome: FiringOutcome


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an instant of a schedule, as the store shows it."""

    schedule: str
    instant: datetime
    job_id: int | None = None
    outcome: FiringOutcome
    fired_at: datetime


def schedule(
    writes: Iterable[ScheduleWrite], *, now: datetime | None = None
) -> Operation[set[str]]:
    """Write schedules; answer the names of those that nobody has written since they were read."""
    rows = [
        {
            **{name: _micro(value) for name, value in _fields(write.row).items()},
            "revision": None if write.new else write.row.revision,
            "moved": write.moved,
        }
        for write in writes
    ]
    return Operation("schedule", {"schedules": as_json(rows), "now": instant(now)}, _names)


def unschedule(names: Iterable[str]) -> Operation[set[str]]:
    """Delete schedules, with what became of their instants; answer which of *names* there were."""
    return Operation("unschedule", {"names": as_json(sorted(set(names)))}, _names)


def schedules(
    names: Iterable[str] | None = None,
    *,
    owner: str | None = None,
    source: str | None = None,
    after: str | None = None,
    limit: int = 1_000,
    now: datetime | None = None,
) -> Operation[Schedules]:
    """Read schedules in the order of their names, and the clock; *after* a name for the next page.

    *names*: only these; *owner*, *source*: only theirs.
    """

    def decode(answers: Answers) -> Schedules:
        *found, (_, clock) = answers[0]
        rows, unreadable = _read(row[0] for row in found)
        rows.sort(key=lambda row: row.name)
        return Schedules(rows, unreadable, datetime.fromisoformat(clock))

    params = {
        "names": None if names is None else as_json(sorted(set(names))),
        "owner": owner,
        "source": source,
        "after": after,
        "limit": str(limit),
        "now": instant(now),
    }
    return Operation("schedules", params, decode)


def due(limit: int = 500, *, now: datetime | None = None) -> Operation[Due]:
    """Read the schedules that are due, the longest due first, and those without a next instant."""

    def decode(answers: Answers) -> Due:
        *found, (_, clock, seconds) = answers[0]
        rows, unreadable = _read(row[0] for row in found)
        next_due = None if seconds is None else timedelta(seconds=seconds)
        return Due(rows, unreadable, datetime.fromisoformat(clock), next_due)

    return Operation("due", {"limit": str(limit), "now": instant(now)}, decode)


def advance(advances: Iterable[Advance]) -> Operation[set[str]]:
    """Let schedules go on to their next instants; answer the names of those that did.

    One that was changed, paused or advanced since it was read stays, and so does one that somebody
    else is writing.
    """
    rows = [{name: _micro(value) for name, value in row._asdict().items()} for row in advances]
    return Operation("advance", {"schedules": as_json(rows)}, _names)


def fired(
    instants: Iterable[Instant], keys: Iterable[str] = (), *, now: datetime | None = None
) -> Operation[Dealt]:
    """Note that *instants* are dealt with; answer those that nobody had dealt with before.

    Answers the unfinished jobs that hold *keys*, too.
    """

    def decode(answers: Answers) -> Dealt:
        return Dealt(
            [(name, datetime.fromisoformat(at)) for name, at in answers[0]],
            {key: Holder(id, State(state)) for key, id, state in answers[1]},
        )

    rows = [{name: _micro(value) for name, value in row._asdict().items()} for row in instants]
    params = {
        "firings": as_json(rows),
        "keys": as_json(sorted(set(keys))),
        "now": instant(now),
    }
    return Operation("fired", params, decode)


def record(firings: Iterable[Became]) -> Operation[None]:
    """Note what became of instants that `fired` has noted in this transaction."""
    rows = [{name: _micro(value) for name, value in row._asdict().items()} for row in firings]
    return Operation("record", {"firings": as_json(rows)}, nothing)


def firings(
    name: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
) -> Operation[list[Firing]]:
    """Read what became of the instants of the schedule *name*, the latest first."""

    def decode(answers: Answers) -> list[Firing]:
        return [msgspec.json.decode(text, type=Firing) for (text,) in answers[0]]

    params = {
        "name": name,
        "since": instant(since),
        "until": instant(until),
        "limit": str(limit),
    }
    return Operation("firings", params, decode)


def forget(
    limit: int = 10_000,
    *,
    kept: timedelta = KEPT,
    most: int = MOST_KEPT,
    audit: timedelta | None = None,
    now: datetime | None = None,
) -> Operation[int]:
    """Delete what became of instants long ago, unique keys whose time is over, and what the audit
    has that is older than *audit*, None for nothing of it; answer how many."""
    params = {
        "limit": str(limit),
        "days": str(kept / timedelta(days=1)),
        "most": str(most),
        "audit_days": None if audit is None else str(audit / timedelta(days=1)),
        "now": instant(now),
    }
    return Operation("forget", params, lambda a: int(a[0][0][0]))


def _fields(row: ScheduleRow) -> Mapping[str, Any]:
    fields = msgspec.structs.asdict(row)
    del fields["created_at"]
    return fields


def _micro(value: Any) -> Any:
    return microseconds(value) if isinstance(value, datetime) else value


def _read(documents: Iterable[str]) -> tuple[list[ScheduleRow], list[Unreadable]]:
    """Read rows one by one: one that somebody has written by hand hides no other."""
    rows: list[ScheduleRow] = []
    unreadable: list[Unreadable] = []
    for text in documents:
        try:
            rows.append(msgspec.json.decode(text, type=ScheduleRow))
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            known = msgspec.json.decode(text, type=_Known)
            unreadable.append(Unreadable(known.name, known.revision, known.next_at, str(error)))
    return rows, unreadable


class _Known(msgspec.Struct):
    name: str
    revision: int
    next_at: datetime | None = None


def _names(answers: Answers) -> set[str]:
    return {name for (name,) in answers[0]}
