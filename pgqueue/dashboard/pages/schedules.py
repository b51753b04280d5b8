"""What is enqueued again and again: all schedules, and one of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from msgspec import structs

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.page import NoSuchPage, Page, View
from pgqueue.errors import PgqueueError
from pgqueue.jobs.job import Job, State
from pgqueue.jobs.schedules.rows import NEVER, ScheduleRow
from pgqueue.operations import Firing, Schedules, firings, inspections, schedules
from pgqueue.views.schedules import Coming, clock, coming, state_of

PAGE_SCHEDULES: Final = 100
PORTIONS: Final = 20
"""So many pages are read for one of a viewer of some queues."""
FIRINGS: Final = 20
NEXT: Final = 5


class ScheduleLine(Page):
    """One schedule in a list; *when* in words, *next* as the clock of its zone shows it."""

    name: str
    when: str
    zone: str
    task: str
    queue: str
    state: str
    paused: bool
    last_at: datetime | None = None
    next_at: datetime | None = None
    next: str = ""
    problem: str | None = None


class SchedulesPage(Page):
    """Schedules in the order of their names; *after* is where the next page begins."""

    schedules: list[ScheduleLine]
    unreadable: list[str]
    after: str | None


class Fired(Page):
    """What became of one instant, and of its job."""

    firing: Firing
    clock: str
    state: State | None = None


class SchedulePage(Page):
    """One schedule: what is in force, the next instants, what became of the latest ones."""

    line: ScheduleLine
    row: ScheduleRow
    coming: list[Coming]
    fired: list[Fired]
    job: dict[str, Any]


def list_schedules(access: Access, query: Form) -> View:
    """Return the schedules whose jobs go to queues that the viewer sees."""
    after: str | None = query.text("after") or None
    lines: list[ScheduleLine] = []
    unreadable: list[str] = []
    for _ in range(1 if access.sees_all else PORTIONS):
        found: Schedules = yield schedules(after=after, limit=PAGE_SCHEDULES + 1)
        rows = found.rows[:PAGE_SCHEDULES]
        lines += [_line(row, found.now) for row in rows if access.sees(row.queue)]
        unreadable += [each.name for each in found.unreadable] if access.sees_all else []
        after = rows[-1].name if len(found.rows) > PAGE_SCHEDULES else None
        if len(lines) > PAGE_SCHEDULES or (after and len(lines) == PAGE_SCHEDULES):
            lines = lines[:PAGE_SCHEDULES]
            after = lines[-1].name  # the last that was read may be one that the viewer does not see
            break
        if after is None:
            break
    return SchedulesPage(lines, unreadable, after)


def schedule(access: Access, query: Form, name: str) -> View:
    """Return one schedule. Raises NoSuchPage."""
    found: Schedules = yield schedules([name], limit=1)
    if not found.rows or not access.sees(found.rows[0].queue):
        raise NoSuchPage(f"no schedule {name!r:.140}, or its row cannot be read")
    [row] = found.rows
    latest: list[Firing] = yield firings(name, limit=FIRINGS)
    ids = [each.job_id for each in latest if each.job_id is not None]
    jobs: dict[int, Job] = (yield inspections.get(ids)) if ids else {}
    fired = [_fired(access, each, row.zone, jobs) for each in latest]
    ahead = coming(row.timing(), found.now, NEXT) if row.next_at != NEVER else []
    return SchedulePage(_line(row, found.now), row, ahead, fired, row.job)


def _fired(access: Access, firing: Firing, zone: str, jobs: dict[int, Job]) -> Fired:
    """Return *firing* with its job's state; without its job, unless the viewer sees that.

    The schedule may have had another queue then, and a job may be moved.
    """
    at, job = clock(firing.instant, zone), jobs.get(firing.job_id or 0)
    if not access.sees_all and (job is None or not access.sees(job.queue)):
        return Fired(structs.replace(firing, job_id=None), at)
    return Fired(firing, at, job.state if job else None)


def _line(row: ScheduleRow, now: datetime) -> ScheduleLine:
    try:
        when = row.timing().explain()
    except PgqueueError:  # what somebody has written by hand is shown as it is
        when = row.said or row.cron or ""
    live = row.retired_at is None and row.paused_at is None and row.next_at != NEVER
    return ScheduleLine(
        name=row.name,
        when=when,
        zone=row.zone,
        task=str(row.job.get("task", "")),
        queue=row.queue,
        state=state_of(row, now),
        paused=row.paused_at is not None,
        last_at=row.last_at,
        next_at=row.next_at if live else None,
        next=clock(row.next_at, row.zone) if live else "",
        problem=row.problem,
    )
