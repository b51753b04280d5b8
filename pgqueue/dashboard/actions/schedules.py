"""What is done to schedules: pause, resume, run now, change, take changes back."""

from __future__ import annotations

from typing import Any, Final

from pgqueue.dashboard.actions.asked import Asked, Done
from pgqueue.errors import UnknownSchedule
from pgqueue.jobs.schedules.merging import columns_of
from pgqueue.jobs.schedules.rows import ScheduleRow
from pgqueue.operations import Plan, editing

OPTIONS: Final = ("missed", "overlap")


def pause(asked: Asked) -> Plan[Done]:
    """Let a schedule fire no more."""
    name = yield from _name(asked)
    did = yield from editing.pause(name, asked.access.user)
    return Done(f"{name} paused" if did else f"{name} was paused already")


def resume(asked: Asked) -> Plan[Done]:
    """Let a schedule fire again."""
    name = yield from _name(asked)
    did = yield from editing.resume(name)
    return Done(f"{name} fires again" if did else f"{name} was not paused")


def run(asked: Asked) -> Plan[Done]:
    """Enqueue a schedule's job now."""
    name = yield from _name(asked)
    keep = asked.app.retention.archived_states()
    fired = yield from editing.run_now(name, keep=keep, notify=asked.notify)
    [became] = fired.became
    if became.outcome == "skipped":
        seen = became.job is not None and (yield from asked.sees(became.job))
        words = f"skipped: {f'job {became.job}' if seen else 'a job'} of {name} is not finished"
        return Done(words, topics=fired.topics)
    return Done(f"{name} runs as job {became.job}", topics=fired.topics)


def change(asked: Asked) -> Plan[Done]:
    """Change when a schedule fires, and what becomes of missed and overlapping instants."""
    row = yield from _row(asked)
    when, zone = asked.form.text("when"), asked.form.text("zone")
    said: dict[str, Any] = {
        field: text
        for field in OPTIONS
        if (text := asked.form.text(field)) and text != getattr(row, field)
    }
    columns = columns_of(row.name, when or None, zone or None, None, said)
    did = bool(columns) and (yield from editing.alter(row.name, columns))
    return Done(f"{row.name} changed" if did else f"{row.name} is so already")


def reset(asked: Asked) -> Plan[Done]:
    """Take back what people have changed of a schedule."""
    name = yield from _name(asked)
    did = yield from editing.restore(name)
    return Done(f"{name} is as declared again" if did else f"{name} was not changed")


def _name(asked: Asked) -> Plan[str]:
    row = yield from _row(asked)
    return row.name


def _row(asked: Asked) -> Plan[ScheduleRow]:
    """Read the schedule that is named, if its jobs go to a queue that the viewer sees."""
    name = asked.form.text("name")
    row = yield from editing.read(name)
    if not asked.access.sees(row.queue):
        raise UnknownSchedule(editing.no_schedule(name))
    return row
