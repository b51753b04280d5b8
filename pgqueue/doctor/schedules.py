"""The check of schedules: which have a problem, fire no more, or have nobody to fire them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pgqueue.doctor.findings import Check, Finding, Patient, error, ok, warning
from pgqueue.jobs.schedules.rows import NEVER, ScheduleRow
from pgqueue.operations import inspections, schedules
from pgqueue.operations.schedules import Schedules

LATE = timedelta(seconds=60)
PAGE = 1_000
LOOKED_AT = 20_000
NAMED = 5


def check_schedules(patient: Patient) -> Iterator[Finding]:
    """Yield the schedules that do not fire although they should."""
    active: list[ScheduleRow] = []
    bad = looked = 0
    now: datetime | None = None
    for page in _pages(patient):
        looked += len(page.rows) + len(page.unreadable)
        now = page.now
        for unreadable in page.unreadable:
            bad += 1
            if bad <= NAMED:
                said = f"{unreadable.name} cannot be read: {unreadable.why}"
                yield error("schedules", said, CURE)
        for row in page.rows:
            if row.problem is not None and row.retired_at is None:
                bad += 1
                if bad <= NAMED:
                    yield error("schedules", f"{row.name} fires no more: {row.problem}", CURE)
            elif row.paused_at is None and row.retired_at is None:
                active.append(row)
    if bad > NAMED:
        yield error("schedules", f"and {bad - NAMED} more schedules have a problem")
    over = [row.name for row in active if row.next_at == NEVER and row.ends_at is None]
    if over:
        said = f"{_named(over)} will never fire again: no instant matches within fifty years"
        yield warning("schedules", said, "change when, or remove them")
    late = [
        row.name
        for row in active
        if now is not None and (row.next_at or row.created_at or now) < now - LATE
    ]
    if late:
        led = any(worker.leads for worker in patient.ask(inspections.workers()))
        who = "although somebody leads" if led else "and nobody leads"
        cure = "see the leader's log" if led else "only a leader fires: start a worker"
        yield error("schedules", f"{_named(late)} should have fired a minute ago, {who}", cure)
    if not bad and not over and not late:
        more = "" if looked < LOOKED_AT else f", of the first {LOOKED_AT}"
        yield ok("schedules", f"{len(active)} are active{more}" if looked else "there are none")


CURE = "correct it (pgqueue schedules change), or its row and set next_at to NULL"


def _pages(patient: Patient) -> Iterator[Schedules]:
    after: str | None = None
    for _ in range(0, LOOKED_AT, PAGE):
        page = patient.ask(schedules(after=after, limit=PAGE))
        yield page
        names = [row.name for row in page.rows] + [row.name for row in page.unreadable]
        if len(names) < PAGE:
            return
        after = max(names)


def _named(names: list[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"


SCHEDULES = (Check("schedules", check_schedules),)
