"""How jobs look to people: a line in a list, and everything about one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from textwrap import indent
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.json import JSON
from rich.table import Table
from rich.text import Text

from pgqueue.cli import output
from pgqueue.cli.printable import printable, printable_json
from pgqueue.jobs.job import Job
from pgqueue.operations.browsing import BriefJob
from pgqueue.operations.inspections import ParentResult


def job_table(jobs: Sequence[BriefJob]) -> Table:
    table = output.table(
        "id", "state", "task", "queue", "attempt", "when", "arguments", right=["id", "attempt"]
    )
    table.columns[-1].no_wrap = True
    table.columns[-1].overflow = "ellipsis"
    for job in jobs:
        table.add_row(
            str(job.id),
            output.state_text(job.state),
            job.task,
            job.queue,
            f"{job.attempt}/{job.max_attempts}",
            when(job),
            output.foreign("large" if job.args is None else printable(job.args)),
        )
    return table


def when(job: Job | BriefJob) -> str:
    """What is worth knowing about a job's time, by its state."""
    if job.finished_at is not None:
        return output.ago(job.finished_at)
    if job.state == "running":
        return f"since {output.ago(job.claimed_at)}"
    if job.state == "blocked":
        return f"after {job.blocked_by} more"
    return f"due {output.ago(job.run_at)}"


def print_job(console: Console, job: Job, parents: Sequence[ParentResult]) -> None:
    console.print(Text.assemble((f"job {job.id} ", "bold"), job.task, " "), end="")
    console.print(output.state_text(job.state))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, value in _facts(job, parents):
        grid.add_row(name, value)
    console.print(grid)
    for error in job.errors:
        console.print()
        head = f"attempt {error.attempt}, {output.ago(error.at)}, worker {error.worker}"
        console.print(Text(head, "dim"))
        message = printable(f": {error.message}", lines=True)
        console.print(Text.assemble((printable(error.type), "bold red"), message))
        if error.traceback:
            console.print(output.foreign(indent(error.traceback.rstrip(), "  ")))


def _facts(job: Job, parents: Sequence[ParentResult]) -> list[tuple[str, RenderableType]]:
    facts: dict[str, RenderableType | None] = {
        "queue": f"{job.queue}, priority {job.priority}",
        "attempt": f"{job.attempt} of {job.max_attempts}"
        + (f", rescued {job.rescues} times" if job.rescues else ""),
        "enqueued": _instant(job.enqueued_at),
        "due": _instant(job.run_at),
        "expires": _instant(job.expires_at),
        "claimed": _instant(job.claimed_at, f"by worker {job.worker}" if job.worker else ""),
        "finished": _instant(job.finished_at, _took(job)),
        "timeout": output.span(job.timeout_seconds) or None,
        "key": None if job.key is None else output.foreign(job.key),
        "unique key": job.unique_key,
        "waits for": f"{job.blocked_by} more jobs" if job.blocked_by else None,
        "parents": _parents(parents) if parents else None,
        "cancelling": "asked to stop" if job.cancel_requested and not job.finished else None,
        "reason": output.foreign(job.reason, "red") if job.reason else None,
        "progress": _progress(job),
        "tags": ", ".join(job.tags) or None,
        "metadata": None if job.metadata is None else _json(job.metadata),
        "arguments": _json(job.args),
        "result": None if job.result is None else _json(job.result),
    }
    return [(name, value) for name, value in facts.items() if value is not None]


def _instant(at: Any, note: str = "") -> str | None:
    if at is None:
        return None
    text = f"{at.isoformat(sep=' ', timespec='milliseconds')} ({output.ago(at)})"
    return f"{text} {note}".rstrip()


def _took(job: Job) -> str:
    if job.lease is None or job.claimed_at is None or job.finished_at is None:
        return ""
    return f"after running {output.span(job.finished_at - job.claimed_at)}"


def _parents(parents: Sequence[ParentResult]) -> str:
    if len(parents) > 10:
        counts = Counter(parent.outcome or "unfinished" for parent in parents)
        return f"{len(parents)}: " + ", ".join(f"{n} {name}" for name, n in counts.items())
    return ", ".join(
        f"{parent.parent} {parent.task or ''} {parent.outcome or 'unfinished'}".replace("  ", " ")
        for parent in parents
    )


def _progress(job: Job) -> RenderableType | None:
    if job.progress is None:
        return None
    parts: list[RenderableType] = []
    fraction = job.progress.fraction
    if fraction is not None:
        filled = round(fraction * 20)
        parts.append(f"{'━' * filled}{'╌' * (20 - filled)} {fraction:.0%}")
    if job.progress.note:
        parts.append(output.foreign(job.progress.note))
    if job.progress.checkpoint is not None:
        parts.append(output.foreign(f"checkpoint {_compact(job.progress.checkpoint)}"))
    return Group(*parts)


def _json(value: Any) -> RenderableType:
    text = _compact(value)
    return Text(text) if len(text) <= 100 else JSON(text, highlight=False)


def _compact(value: Any) -> str:
    return printable_json(msgspec.json.encode(value).decode())
