"""How `pgqueue status` looks to people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pgqueue.cli import output
from pgqueue.cli.workers import worker_table
from pgqueue.views.status import Status


def view(status: Status) -> RenderableType:
    parts: list[RenderableType] = [_head(status), ""]
    parts.append(_queues(status) if status.queues else Text("no queues yet", "dim"))
    parts += ["", _lately(status) if status.last_minute else Text("nothing ended lately", "dim")]
    parts += ["", worker_table(status.workers) if status.workers else Text("no workers", "red")]
    return Group(*parts)


def _head(status: Status) -> Text:
    schema = status.schema
    text = Text.assemble(("pgqueue ", "bold"), f"schema {schema.name}, version {schema.version}")
    if schema.version is None or schema.version < schema.head:
        text.append(f" (needs {schema.head}: run `pgqueue migrate`)", "bold red")
    text.append(f", {status.at.astimezone():%H:%M:%S}")
    if status.workers and status.leader is None:
        text.append(", no leader", "red")
    return text


def _queues(status: Status) -> Table:
    numbers = [*output.LIVE, "workers"]
    table = output.table("queue", *output.LIVE, "oldest due", "workers", "", right=numbers)
    for queue in status.queues:
        counts = (
            Text(f"{'≥' * (state in queue.capped)}{count:,}", output.STYLES[state])
            if (count := queue.counts.get(state, 0))
            else Text("·", "dim")
            for state in output.LIVE
        )
        unserved = queue.workers == 0 and queue.counts
        table.add_row(
            queue.name,
            *counts,
            output.span(queue.oldest_due_seconds),
            Text(str(queue.workers), "red" if unserved else ""),
            Text(f"paused {output.ago(queue.paused_at)}" if queue.paused_at else "", "yellow"),
        )
    return table


def _lately(status: Status) -> Table:
    figures = ["jobs", "per second", "waited p50", "p99 ", "ran p50", "p99"]
    table = output.table("last minute", *figures, right=figures)
    least = "" if status.last_minute_exact else "≥"
    for state, ended in status.last_minute.items():
        table.add_row(
            output.state_text(state),
            f"{least}{ended.count:,}",
            f"{least}{ended.per_second:,.1f}",
            output.span(ended.waited_p50_seconds),
            output.span(ended.waited_p99_seconds),
            output.span(ended.ran_p50_seconds),
            output.span(ended.ran_p99_seconds),
        )
    return table
