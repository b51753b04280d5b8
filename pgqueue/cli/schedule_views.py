"""How schedules look to people: a line in a list, everything about one, the next instants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from rich.console import Console
from rich.table import Table

from pgqueue.cli import output
from pgqueue.jobs.schedules.rows import NEVER, ScheduleRow
from pgqueue.jobs.schedules.timing import Timing
from pgqueue.operations import Firing, Unreadable
from pgqueue.views.schedules import Coming, clock, state_of

STYLES = {
    "has a problem": "bold red",
    "late": "red",
    "retired": "bright_black",
    "over": "bright_black",
}


def table(rows: Sequence[ScheduleRow], unreadable: Sequence[Unreadable], now: datetime) -> Table:
    made = output.table("name", "when", "next", "", "last", "task", "state")
    for row in rows:
        state = state_of(row, now)
        live = state not in ("retired", "over") and row.paused_at is None
        made.add_row(
            row.name,
            _when(row),
            clock(row.next_at, row.zone) if live else "",
            output.ago(row.next_at, now) if live and row.next_at else "",
            output.ago(row.last_at, now),
            str(row.job.get("task", "")),
            state,
            style=STYLES.get(state, "yellow" if row.paused_at else ""),
        )
    for each in unreadable:
        made.add_row(each.name, "", "", "", "", "", "cannot be read", style="bold red")
    return made


def print_schedule(console: Console, row: ScheduleRow, firings: Sequence[Firing]) -> None:
    console.print(row.name, style="bold")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, value in _facts(row):
        grid.add_row(name, value)
    console.print(grid)
    if firings:
        made = output.table("instant", "outcome", "job", right=["job"])
        for firing in firings:
            job = "" if firing.job_id is None else str(firing.job_id)
            made.add_row(clock(firing.instant, row.zone), firing.outcome, job)
        console.print(made)


def print_coming(console: Console, timing: Timing, found: Sequence[Coming]) -> None:
    console.print(timing.explain(), style="bold")
    made = output.table(timing.zone, "UTC", "")
    for each in found:
        utc = clock(each.instant, "UTC")
        local = clock(each.local, timing.zone)
        made.add_row(local, utc, each.remark or "", style="yellow" if each.remark else "")
    console.print(made if found else "never again")


def _facts(row: ScheduleRow) -> Iterator[tuple[str, str]]:
    yield "when", _when(row)
    if row.said:
        yield "said", row.said
    yield "next", "never: it is over" if row.next_at == NEVER else clock(row.next_at, row.zone)
    if row.last_at is not None:
        yield "last", clock(row.last_at, row.zone)
    yield "job", _json(row.job)
    yield "missed", row.missed
    if row.catch_up_seconds is not None:
        yield "catch up", output.span(row.catch_up_seconds)
    yield "overlap", row.overlap
    if row.jitter_seconds:
        yield "jitter", output.span(row.jitter_seconds)
    for name, instant in (("starts", row.starts_at), ("ends", row.ends_at)):
        if instant is not None:
            yield name, clock(instant, row.zone)
    yield "declared", f"in the code of {row.owner}" if row.source == "code" else "at run time"
    if row.changes:
        yield "changed", _json(row.changes)
    if row.paused_at is not None:
        by = f" by {row.paused_by}" if row.paused_by else ""
        yield "paused", f"{output.ago(row.paused_at)}{by}"
    if row.retired_at is not None:
        yield "retired", f"{output.ago(row.retired_at)}: no code declares it any more"
    if row.problem is not None:
        yield "problem", row.problem


def _when(row: ScheduleRow) -> str:
    try:
        return row.timing().explain()
    except Exception:  # a row written by hand is shown as it is
        return row.said or row.cron or ""


def _json(document: object) -> str:
    return msgspec.json.encode(document).decode()
