"""Write the schedules that code declares to the store, and retire those that it no longer declares.

A worker declares when it joins, and again when all workers that were started after it are gone: so
the one that was started last decides. The leader, which sees all workers, retires a schedule that
no live worker of its owner declares any more. A joining worker does not: workers of the earlier
version may still live.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from msgspec.structs import asdict, replace

from pgqueue.errors import InvalidSchedule
from pgqueue.jobs.schedules.merging import Merged, fires_otherwise, merge
from pgqueue.jobs.schedules.rows import ScheduleRow
from pgqueue.jobs.schedules.schedule import Schedule
from pgqueue.operations.firing import edit
from pgqueue.operations.operation import Plan
from pgqueue.operations.schedules import ScheduleWrite


def declare(
    schedules: Iterable[Schedule], owner: str, *, now: datetime | None = None
) -> Plan[dict[str, list[str]]]:
    """Write what *owner*'s code declares, where it says something else than before.

    What people have changed stays, unless code changes that very field. Answers the names that were
    written, each with the fields whose changes are dropped. Raises InvalidSchedule for
    a name that another owner, or nobody's code, has already.
    """
    declared = {each.name: each for each in schedules}
    dropped: dict[str, list[str]] = {}

    def edited(name: str, row: ScheduleRow | None, clock: datetime) -> ScheduleWrite | None:
        write = _declared(declared[name], owner, row, clock)
        if row is not None and write is not None:
            dropped[name] = sorted(row.changes.keys() - write.row.changes.keys())
        return write

    names = yield from edit(declared, edited, now=now)
    return {name: dropped.get(name, []) for name in sorted(names)}


def retire(
    rows: Iterable[ScheduleRow],
    living: Mapping[str, Collection[str]],
    *,
    now: datetime | None = None,
) -> Plan[set[str]]:
    """Retire those of *rows*, all from code, that no live worker of their owner declares any more.

    *living*: what live workers declare, by owner. An owner without one keeps all it has.
    """

    def unwanted(row: ScheduleRow) -> bool:
        known = living.get(row.owner or "")
        return row.retired_at is None and known is not None and row.name not in known

    def edited(name: str, row: ScheduleRow | None, clock: datetime) -> ScheduleWrite | None:
        if row is None or row.source != "code" or not unwanted(row):
            return None
        return ScheduleWrite(replace(row, retired_at=clock))

    return edit([row.name for row in rows if unwanted(row)], edited, now=now)


def said(
    schedule: Schedule, row: ScheduleRow | None, now: datetime, *, owner: str | None = None
) -> ScheduleWrite | None:
    """Return the new *row* of *schedule*; None where nothing is to be written.

    Without an *owner* it is made at run time.
    """
    code = schedule.declaration()
    if row is None:
        first = now if schedule.immediately else code.first_after(now)
        new = ScheduleRow(
            **asdict(code),
            name=schedule.name,
            owner=owner,
            declared=code,
            source="api" if owner is None else "code",
            next_at=first,
        )
        return ScheduleWrite(new, new=True, moved=True)
    if row.declared == code and row.retired_at is None:
        return None
    merged = merge(row.declared, code, row.changes)
    kept = replace(row, retired_at=None)
    return written(kept, merged, now, moved=row.retired_at is not None)


def written(
    row: ScheduleRow, merged: Merged, now: datetime, *, moved: bool = False
) -> ScheduleWrite:
    """Return *row* as *merged* has it; where it fires otherwise than before, strictly after *now*.

    What had a problem is tried again.
    """
    kept = replace(
        row,
        **asdict(merged.in_force),
        declared=merged.declared,
        changes=dict(merged.changes),
        problem=None,
        next_at=merged.in_force.first_after(now),
    )
    moved = moved or row.problem is not None or fires_otherwise(row, merged.in_force)
    return ScheduleWrite(kept, moved=moved)


def _declared(
    schedule: Schedule, owner: str, row: ScheduleRow | None, now: datetime
) -> ScheduleWrite | None:
    if row is not None and (row.source != "code" or row.owner != owner):
        whose = "was made at run time" if row.source != "code" else f"is {row.owner}'s"
        raise InvalidSchedule(
            f"{schedule.name}: the schedule of this name {whose}, and {owner} declares it too; "
            "give one of them another name"
        )
    return said(schedule, row, now, owner=owner)
