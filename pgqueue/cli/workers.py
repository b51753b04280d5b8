"""`pgqueue workers`: the processes that are present."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pgqueue.cli.command import Command
from pgqueue.cli.store import Store, json_option, store_options

if TYPE_CHECKING:
    from rich.table import Table

    from pgqueue.operations.inspections import WorkerInfo


@click.command(cls=Command)
@store_options
@json_option
def workers(store: Store, as_json: bool) -> None:
    """The worker processes that are present; a star marks the leader."""
    from pgqueue.cli import output
    from pgqueue.operations import inspections

    with store.connected() as connected:
        found = connected.execute(inspections.workers())
    if as_json:
        output.print_json(found)
    else:
        output.console().print(worker_table(found) if found else "no workers")


def worker_table(found: Sequence[WorkerInfo]) -> Table:
    from pgqueue.cli import output

    columns = ["worker", "name", "queues", "running", "started", "heard", ""]
    table = output.table(*columns, right=["worker", "running"])
    for worker in found:
        table.add_row(
            f"{'*' if worker.leads else ''}{worker.id}",
            worker.name,
            ", ".join(worker.queues),
            str(worker.running),
            output.ago(worker.started_at),
            output.ago(worker.heartbeat_at),
            f"suspected dead, {output.ago(worker.suspected_at)}" if worker.suspected_at else "",
            style="red" if worker.suspected_at else "",
        )
    return table
