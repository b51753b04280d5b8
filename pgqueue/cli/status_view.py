"""How `pgqueue status` looks to people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pgqueue.cli import output
from pgqueue.cli.workers import worker_table
from pgqueue.views.bridges import BridgeStatus
from pgqueue.views.status import Status


def view(status: Status) -> RenderableType:
    parts: list[RenderableType] = [_head(status), ""]
    parts.append(_queues(status) if status.queues else Text("no queues yet", "dim"))
    if status.bridges:
        parts += ["", _bridges(status.bridges)]
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


def _bridges(bridges: list[BridgeStatus]) -> Table:
    numbers = ["waiting", "dead letters", "workers"]
    table = output.table(
        "bridge", "", "place", "waiting", "oldest due", "dead letters", "workers", "", right=numbers
    )
    for each in bridges:
        table.add_row(
            each.name,
            each.kind,
            each.place,
            "" if each.waiting is None else f"{'≥' * each.capped}{each.waiting:,}",
            output.span(each.oldest_due_seconds),
            Text(
                "" if each.dead is None else f"{'≥' * each.dead_capped}{each.dead:,}",
                "bold red" if each.dead else "dim",
            ),
            Text(str(each.workers), "" if each.workers else "red"),
            _said(each),
        )
    return table


def _said(bridge: BridgeStatus) -> Text:
    if bridge.away_since is not None:
        which = "" if bridge.is_shut else f" for {bridge.away} of {bridge.workers} workers"
        what = "gate shut" if bridge.kind == "outlet" else "out of reach"
        text = f"{what}{which}, {output.ago(bridge.away_since)}: {bridge.why}"
        if bridge.next_look_at is not None:
            text += f"; next look {output.ahead(bridge.next_look_at)}"
        return output.foreign(text, "red")
    if bridge.paused_since is not None:
        text = f"takes nothing, {output.ago(bridge.paused_since)}: over {bridge.high_water:,} wait"
        return Text(text, "yellow")
    if not bridge.workers:
        return Text("no worker takes from it" if bridge.kind == "inlet" else "", "yellow")
    return output.foreign("; ".join(bridge.problems), "yellow")


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
