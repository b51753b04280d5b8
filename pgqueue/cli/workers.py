"""`pgqueue workers`: the processes that are present: list, quiet, resume, stop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli.command import Failure, LazyGroup
from pgqueue.cli.printable import say
from pgqueue.cli.store import Store, acting_options, json_option, store_options

if TYPE_CHECKING:
    from rich.table import Table

    from pgqueue.operations import Plan
    from pgqueue.operations.inspections import WorkerInfo
    from pgqueue.operations.workers import Asked


class _Lists(LazyGroup):
    """A group that lists when it is given no command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Lists)
def workers() -> None:
    """List worker processes; have some claim nothing more, or stop.

    Without a command it lists.
    """


@workers.command("list")
@store_options
@json_option
def list_workers(store: Store, as_json: bool) -> None:
    """The worker processes that are present; a star marks the leader."""
    from pgqueue.cli import output
    from pgqueue.operations import inspections

    with store.connected() as connected:
        found = connected.execute(inspections.workers())
    if as_json:
        output.print_json(found)
    else:
        output.console().print(worker_table(found) if found else "no workers")


def _directs(command: Any) -> Any:
    """Gives *command* the options and arguments of all commands that ask something of workers."""
    for option in (
        json_option,
        acting_options,
        click.option("--all", "every", is_flag=True, help="Every worker that is present."),
        click.argument("which", metavar="ID|NAME...", nargs=-1),
    ):
        command = option(command)
    return command


@workers.command()
@_directs
def quiet(**options: Any) -> None:
    """Claim nothing more: these workers finish the jobs that they have claimed, and stay."""
    _direct("quiet", "quiet", **options)


@workers.command()
@_directs
def resume(**options: Any) -> None:
    """Claim again."""
    _direct("resume", None, **options)


@workers.command()
@_directs
def stop(**options: Any) -> None:
    """End in good order, as at a SIGTERM: jobs finish within the worker's grace period.

    A supervisor (`--processes`, systemd, Kubernetes) starts another in its place.
    """
    _direct("stop", "stop", **options)


def worker_table(found: Sequence[WorkerInfo]) -> Table:
    from pgqueue.cli import output

    columns = ["worker", "name", "queues", "running", "started", "heard", ""]
    table = output.table(*columns, right=["worker", "running"])
    for worker in found:
        said = {"quiet": "quiet", "stop": "stopping", None: ""}.get(worker.asked, "")
        style = "yellow" if said else ""
        if worker.suspected_at:
            said, style = f"suspected dead, {output.ago(worker.suspected_at)}", "red"
        table.add_row(
            f"{'*' if worker.leads else ''}{worker.id}",
            worker.name,
            ", ".join([*worker.queues, *worker.patterns]),
            str(worker.running),
            output.ago(worker.started_at),
            output.ago(worker.heartbeat_at),
            said,
            style=style,
        )
    return table


_DONE = {"quiet": "claims nothing more", "resume": "claims again", "stop": "is to stop"}


def _direct(
    verb: str,
    asked: Asked | None,
    *,
    which: Sequence[str],
    every: bool,
    store: Store,
    as_json: bool,
) -> None:
    from pgqueue import operations
    from pgqueue.cli import output
    from pgqueue.operations import inspections
    from pgqueue.operations.auditing import noted
    from pgqueue.operations.operation import one

    if every == bool(which):
        raise click.UsageError("give either workers, by id or name, or --all")
    who = store.who

    def directed(worker: WorkerInfo) -> Plan[list[int]]:
        return noted(
            one(operations.direct([worker.id], asked)),
            who,
            verb,
            target=f"worker {worker.name}",
            reason=store.reason,
            answer=lambda told: _DONE[verb] if told else "gone meanwhile",
        )

    with store.connected() as connected:
        present = connected.execute(inspections.workers())
        meant = [w for w in present if every or str(w.id) in which or w.name in which]
        names = {name for worker in meant for name in (str(worker.id), worker.name)}
        if unknown := [name for name in which if name not in names]:
            raise Failure(f"no worker {', '.join(unknown)}; `pgqueue workers` lists them")
        told = [(w, connected.together(partial(directed, w)) != []) for w in meant]
    if as_json:
        output.print_json([{"id": w.id, "name": w.name, "told": did} for w, did in told])
        return
    for worker, did in told:
        say(f"{worker.name} {_DONE[verb] if did else 'is gone meanwhile'}")
