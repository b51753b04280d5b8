"""`pgqueue copy`: from one store to another."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli.command import Command, Failure
from pgqueue.cli.printable import say
from pgqueue.cli.store import Store, by_option, json_option, schema_name

if TYPE_CHECKING:
    from pgqueue.backends.base import Backend
    from pgqueue.copying.copier import Copier, Report

# A dead worker is seen twice before it counts as dead.
PATIENCE_SECONDS = 3.0


@click.command(cls=Command)
@click.option("--from", "from_url", required=True, metavar="URL", help="The store to copy from.")
@click.option("--to", "to_url", required=True, metavar="URL", help="The store to copy to.")
@click.option(
    "--from-schema",
    default="pgqueue",
    show_default=True,
    metavar="NAME",
    callback=schema_name,
    help="The schema, or namespace, to copy from.",
)
@click.option(
    "--to-schema",
    default="pgqueue",
    show_default=True,
    metavar="NAME",
    callback=schema_name,
    help="The schema, or namespace, to copy to.",
)
@click.option("--dry-run", is_flag=True, help="Only say what there is to copy.")
@by_option
@json_option
def copy(
    from_url: str,
    to_url: str,
    from_schema: str,
    to_schema: str,
    dry_run: bool,
    by: str | None,
    as_json: bool,
) -> None:
    """Take waiting jobs, dead letters and paused queues along to another store.

    With their edges, workflows, attempts, errors, keys and times. Both stores need their tables
    (`pgqueue migrate`). Stop the workers of the first store before, and whoever enqueues there.
    Nothing is deleted there. A copy that was interrupted is started again, and goes on: no job
    is brought twice. What workers have counted, and the audit, stay where they are; the audit of
    the store to copy to notes the copy.
    """
    from pgqueue.cli import output
    from pgqueue.copying.copier import Copier
    from pgqueue.operations.auditing import audit

    who = Store(to_url, to_schema, by).who
    with _opened(from_url, from_schema) as source, _opened(to_url, to_schema) as target:
        if not dry_run:
            _refuse_living(source)
        copier = Copier(source, target)
        report = copier.survey()
        if not dry_run:
            _copy(copier, report)
            answer = f"{report.brought:,} jobs from {source.store}, schema {from_schema}"
            target.execute(audit(who, "copy", count=report.brought, answer=answer))
    if as_json:
        output.print_json(_document(report, dry_run))
        return
    for line in _lines(report, dry_run):
        say(line)


@contextmanager
def _opened(url: str, schema: str) -> Iterator[Backend]:
    from pgqueue import backends

    backend = backends.connect(url, schema=schema)
    try:
        yield backend
    finally:
        backend.close()


def _refuse_living(source: Backend) -> None:
    """Gives back the jobs of dead workers; raises Failure when live workers serve the store."""
    from pgqueue.copying.copier import living

    deadline = time.monotonic() + PATIENCE_SECONDS
    while workers := living(source):
        if time.monotonic() > deadline:
            names = ", ".join(f"{w.name} (pid {w.pid} on {w.host})" for w in workers[:3])
            raise Failure(
                f"{len(workers)} workers serve the store to copy from: {names}; stop them first, "
                "or jobs would run here and there. One that was killed counts as dead after a "
                "minute at the latest"
            )
        time.sleep(0.2)


def _copy(copier: Copier, report: Report) -> None:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(
        *columns, console=Console(stderr=True), disable=not sys.stderr.isatty()
    ) as progress:
        bar = progress.add_task("jobs", total=sum(report.jobs.values()))
        copier.copy(told=lambda count: progress.advance(bar, count))


def _document(report: Report, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "jobs": report.jobs,
        "copied": report.brought,
        "results": report.results,
        "running": report.running,
        "left": report.left,
        "paused": report.paused,
        "schedules": report.schedules,
        "windows": report.windows,
    }


def _lines(report: Report, dry_run: bool) -> Iterator[str]:
    count = sum(report.jobs.values())
    states = ", ".join(f"{number} {state}" for state, number in report.jobs.items() if number)
    if dry_run:
        yield f"{count} jobs to copy: {states}" if count else "nothing to copy"
    else:
        there = count - report.brought - len(report.left)
        yield f"{report.brought} jobs copied, {there} were there already; of {count}: {states}"
    if report.results:
        yield f"{report.results} results that they may want to read"
    if report.paused:
        yield f"paused, as there: {', '.join(report.paused)}"
    if report.schedules:
        yield f"{report.schedules} schedules, as they stand there"
    if report.windows:
        yield f"{report.windows} unique keys hold for their time here, too"
    if report.running:
        yield f"{report.running} running jobs stay behind"
    if report.left:
        some = ", ".join(map(str, report.left[:5]))
        yield (
            f"{len(report.left)} that wait for them stay behind, too ({some}); copy again when "
            "these have ended"
        )
