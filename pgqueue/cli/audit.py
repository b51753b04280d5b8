"""`pgqueue audit`: who did what to which jobs, queues and schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgqueue.cli.command import Command
from pgqueue.cli.store import Store, json_option, store_options

if TYPE_CHECKING:
    from pgqueue.operations.auditing import AuditEntry


@click.command(cls=Command)
@click.argument("target", metavar="[TARGET]", required=False)
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="So many at the most.",
)
@click.option("--before", type=int, metavar="ID", help="Only those before this id: the next page.")
@store_options
@json_option
def audit(target: str | None, limit: int, before: int | None, store: Store, as_json: bool) -> None:
    """Who did what, and when, the newest first; of one TARGET alone.

    \b
    pgqueue audit
    pgqueue audit "job 7"
    pgqueue audit "queue mail"

    Acts of the dashboard, this command line and Python (app.jobs, app.queues, app.schedules) are
    noted in their own transactions, and the notes are kept for ninety days.
    """
    from pgqueue.cli import output
    from pgqueue.operations.auditing import audited

    with store.connected() as connected:
        found = connected.execute(audited(before=before, target=target, limit=limit))
    if as_json:
        output.print_json(found)
        return
    console = output.console()
    if not found:
        console.print("nothing yet" if target is None and before is None else "nothing")
        return
    table = output.table("id", "when", "who", "did", "to", "answer", "why", right=["id"])
    for entry in found:
        cells = (output.ago(entry.at), entry.who, entry.verb, _to(entry))
        table.add_row(str(entry.id), *cells, entry.answer or "", entry.reason or "")
    console.print(table)
    if len(found) == limit and console.is_terminal:
        console.print(f"older ones: --before {found[-1].id}", style="dim")


def _to(entry: AuditEntry) -> str:
    """The target of an act: one job, queue or schedule, or many jobs, by their ids or by a
    filter."""
    if entry.target is not None:
        return entry.target
    jobs = "" if entry.count is None else f"{entry.count:,} jobs"
    return " ".join(part for part in (jobs, entry.filter) if part)
