"""`pgqueue queues`: list, pause, resume."""

from __future__ import annotations

import click

from pgqueue.cli.command import LazyGroup
from pgqueue.cli.store import Store, json_option, store_options


@click.group(cls=LazyGroup)
def queues() -> None:
    """List, pause and resume queues."""


@queues.command("list")
@store_options
@json_option
def list_queues(store: Store, as_json: bool) -> None:
    """Every queue that has jobs waiting, a worker, or a setting."""
    from pgqueue import inspections
    from pgqueue.cli import output

    with store.connected() as connected:
        found = connected.execute(inspections.queues())
    if as_json:
        output.print_json(found)
        return
    table = output.table("queue", "workers", "paused", right=["workers"])
    for queue in found:
        paused = f"paused {output.ago(queue.paused_at)}" if queue.paused_at else ""
        table.add_row(queue.name, str(queue.workers), paused, style="yellow" if paused else "")
    output.console().print(table if found else "no queues yet")


@queues.command()
@click.argument("names", metavar="QUEUE...", nargs=-1, required=True)
@store_options
@json_option
def pause(names: tuple[str, ...], store: Store, as_json: bool) -> None:
    """Hand out no more jobs of these queues; what runs goes on."""
    _settle(names, store, as_json, paused=True)


@queues.command()
@click.argument("names", metavar="QUEUE...", nargs=-1, required=True)
@store_options
@json_option
def resume(names: tuple[str, ...], store: Store, as_json: bool) -> None:
    """Hand out the jobs of these queues again."""
    _settle(names, store, as_json, paused=False)


def _settle(names: tuple[str, ...], store: Store, as_json: bool, *, paused: bool) -> None:
    from pgqueue import checks, operations
    from pgqueue.cli import output
    from pgqueue.errors import InvalidJob

    try:
        for name in names:
            checks.name("queues", "QUEUE", name)
    except InvalidJob as error:
        raise click.UsageError(str(error)) from error
    with store.connected() as connected:
        for name in names:
            connected.execute(operations.pause(name) if paused else operations.resume(name))
    if as_json:
        output.print_json([{"name": name, "paused": paused} for name in names])
    else:
        for name in names:
            click.echo(f"{name} {'paused' if paused else 'resumed'}")
