"""How `pgqueue status` looks to people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pgqueue.cli import output
from pgqueue.cli.workers import worker_table
from pgqueue.jobs.limits import KeyLimits, Limits, Rate
from pgqueue.views.bridges import BridgeStatus
from pgqueue.views.charts import Hour
from pgqueue.views.status import QueueStatus, Status
from pgqueue.views.text import sparkline


def view(status: Status, hour: Hour | None = None) -> RenderableType:
    parts: list[RenderableType] = [_head(status), ""]
    parts.append(_queues(status) if status.queues else Text("no queues yet", "dim"))
    if status.bridges:
        parts += ["", _bridges(status.bridges)]
    if limited := [queue for queue in status.queues if queue.limits is not None]:
        parts += ["", _limits(limited)]
    if hour is not None and hour.queues:
        parts += ["", _hour(hour)]
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


def _hour(hour: Hour) -> Table:
    """Throughput and latency as workers have reported them, once a minute."""
    columns = ["last hour, by two minutes", "ended", "in all", "waited p99", "at worst"]
    table = output.table(*columns, right=["in all", "at worst"])
    for queue in hour.queues:
        table.add_row(
            queue.name,
            Text(sparkline(queue.ended), "green"),
            f"{'' if hour.exact else '≥'}{sum(queue.ended):,}",
            Text(sparkline(queue.waited_p99_seconds), "cyan"),
            output.span(max((s for s in queue.waited_p99_seconds if s is not None), default=None)),
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


def _limits(queues: list[QueueStatus]) -> Table:
    """How much of what each queue allows is used; below it the keys that have most jobs."""
    numbers = ["waiting", "running", "started"]
    table = output.table("limits", "key", *numbers, right=numbers)
    for queue in queues:
        limits, used = queue.limits or Limits(), queue.usage
        if used is None:
            table.add_row(queue.name, Text("too many queues have limits", "dim"))
            continue
        waiting = f"{'≥' * ('available' in queue.capped)}{queue.counts.get('available', 0):,}"
        running = _of(used.running, limits.concurrency)
        table.add_row(queue.name, "", waiting, running, _began(used.started, limits.rate))
        for key in used.keys:
            own = key.limits or KeyLimits()
            most = (own.concurrency or limits.key_concurrency) if key.key else None
            table.add_row(
                "",
                output.foreign(key.key) if key.key else Text("without a key", "dim"),
                f"{'≥' * (not key.exact)}{key.waiting:,}",
                _of(key.running, most),
                _began(key.started, own.rate or limits.key_rate),
            )
        if not used.exact:
            table.add_row("", Text("there are more than were looked at", "dim"))
    return table


def _of(count: int, most: int | None) -> str:
    return f"{count:,}" if most is None else f"{count:,} of {most:,}"


def _began(count: int | None, rate: Rate | None) -> str:
    return "" if count is None or rate is None else f"{count:,} of {rate}"


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
