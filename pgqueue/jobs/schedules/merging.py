"""Which fields of a schedule are in force: those that code declares, or those that people changed.

Each field is decided by itself, from the value that code declared last (*declared*), the one that
it declares now, and the one that people have *changed* at run time. Where code declares another
value than last time, the code's value wins and the change is dropped; other changes stay until
`reset`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from pgqueue.errors import InvalidJob, InvalidSchedule
from pgqueue.jobs import checks
from pgqueue.jobs.schedules.rows import Declaration
from pgqueue.jobs.schedules.timing import Timing

TIMED: Final = frozenset({"said", "cron", "every_seconds", "anchor"})
"""These columns together say when a schedule fires, so they change together."""
WHEN: Final = TIMED | {"zone", "starts_at", "ends_at"}
DEPENDENT: Final = (TIMED, {"missed", "catch_up_seconds", "overlap"}, {"starts_at", "ends_at"})


@dataclass(frozen=True, slots=True)
class Merged:
    """The new values of a row: *declared*, *changes*, and *in_force*, the two combined."""

    declared: Declaration
    changes: Mapping[str, Any]
    in_force: Declaration


def merge(declared: Declaration | None, code: Declaration, changes: Mapping[str, Any]) -> Merged:
    """Return what is in force when code declares *code*, has declared *declared* before, and people
    have made *changes*.

    Changes that contradict what code declares now are dropped, too.
    """
    if declared is None:
        return Merged(code, {}, code)
    said_anew = {
        column
        for column in Declaration.__struct_fields__
        if getattr(declared, column) != getattr(code, column)
    }
    if said_anew & TIMED:
        said_anew |= TIMED
    kept = {column: value for column, value in changes.items() if column not in said_anew}
    for dropped in (frozenset(), *DEPENDENT, frozenset(kept)):
        left = {column: value for column, value in kept.items() if column not in dropped}
        try:
            return Merged(code, left, _with(code, left))
        except InvalidSchedule:
            continue
    raise AssertionError("what code says was checked when it was said")


def change(declared: Declaration, changes: Mapping[str, Any], new: Mapping[str, Any]) -> Merged:
    """Return what is in force when somebody changes the columns in *new*, after earlier *changes*.

    Raises InvalidSchedule when the result is no valid schedule.
    """
    changed: dict[str, Any] = {**changes, **msgspec.to_builtins(dict(new))}
    in_force = _with(declared, changed)
    said = msgspec.to_builtins(declared)
    kept = {column: value for column, value in changed.items() if value != said[column]}
    return Merged(declared, kept, in_force)


def reset(declared: Declaration) -> Merged:
    """Return what is in force after all changes by people are undone."""
    return Merged(declared, {}, declared)


def fires_otherwise(before: Declaration, after: Declaration) -> bool:
    """Do the two differ in when they fire, so that *next_at* must be computed anew?"""
    return any(getattr(before, column) != getattr(after, column) for column in WHEN)


def _with(declared: Declaration, changes: Mapping[str, Any]) -> Declaration:
    if unknown := changes.keys() - set(Declaration.__struct_fields__):
        raise InvalidSchedule(f"{min(unknown)}: a schedule has no such column")
    try:
        changed = msgspec.convert(msgspec.to_builtins(declared) | dict(changes), Declaration)
    except msgspec.ValidationError as error:
        raise InvalidSchedule(str(error)) from None
    changed.check("schedule")
    return changed


def columns_of(
    name: str,
    when: str | timedelta | Timing | None,
    zone: str | ZoneInfo | None,
    anchor: datetime | None,
    said: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the columns of a person's changes to the schedule *name*.

    *said*: options of a schedule by name. Raises InvalidSchedule.
    """
    columns: dict[str, Any] = {}
    try:
        if when is not None:
            timing = Timing.parse(when, zone=zone, anchor=anchor)
            every = None if timing.every is None else timing.every.total_seconds()
            columns = {"said": timing.said, "cron": timing.cron, "every_seconds": every}
            columns |= {"anchor": timing.anchor}
            if zone is not None or timing.zone != "UTC":
                columns["zone"] = timing.zone
        elif zone is not None:
            columns["zone"] = Timing.parse("@daily", zone=zone).zone
        for field, value in said.items():
            match field:
                case "catch_up":
                    columns["catch_up_seconds"] = (
                        None
                        if value is None
                        else checks.positive_duration(name, field, value).total_seconds()
                    )
                case "jitter":
                    columns["jitter_seconds"] = checks.duration(name, field, value).total_seconds()
                case "starts" | "ends":
                    known = None if value is None else checks.instant(name, field, value)
                    columns[f"{field}_at"] = known
                case _:
                    columns[field] = value
    except InvalidJob as error:
        raise InvalidSchedule(str(error)) from None
    return columns
