"""`pgqueue queues`: list, pause, resume, limit, set."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli.command import LazyGroup
from pgqueue.cli.printable import say
from pgqueue.cli.store import Store, acting_options, json_option, store_options

if TYPE_CHECKING:
    from pgqueue.jobs.limits import Limits
    from pgqueue.operations import Operation, Plan


@click.group(cls=LazyGroup)
def queues() -> None:
    """List, pause, resume and limit queues."""


@queues.command("list")
@store_options
@json_option
def list_queues(store: Store, as_json: bool) -> None:
    """Every queue that has jobs waiting, a worker, or a setting."""
    from pgqueue.cli import output
    from pgqueue.operations import inspections

    with store.connected() as connected:
        found = connected.execute(inspections.queues())
    if as_json:
        output.print_json(found)
        return
    table = output.table("queue", "workers", "paused", "running", "limits", right=["workers"])
    for queue in found:
        paused = f"paused {output.ago(queue.paused_at)}" if queue.paused_at else ""
        running = "" if queue.running is None else str(queue.running)
        if queue.limits is not None and queue.limits.concurrency is not None:
            running += f" of {queue.limits.concurrency}"
        limits = "" if queue.limits is None else str(queue.limits)
        style = "yellow" if paused else ""
        table.add_row(queue.name, str(queue.workers), paused, running, limits, style=style)
    output.console().print(table if found else "no queues yet")


def _settles(command: Any) -> Any:
    """Gives *command* the options and arguments that pausing and resuming share."""
    for option in (
        json_option,
        acting_options,
        click.option(
            "--all", "every", is_flag=True, help="Every queue that `pgqueue queues list` shows."
        ),
        click.argument("names", metavar="QUEUE...", nargs=-1),
    ):
        command = option(command)
    return command


@queues.command()
@_settles
def pause(**options: Any) -> None:
    """Hand out no more jobs of these queues; running jobs go on."""
    _settle(paused=True, **options)


@queues.command()
@_settles
def resume(**options: Any) -> None:
    """Hand out the jobs of these queues again."""
    _settle(paused=False, **options)


@queues.command()
@click.argument("queue")
@click.option("--concurrency", type=int, metavar="N", help="So many of its jobs run at once.")
@click.option("--rate", metavar="N/SECONDSs", help="So many attempts begin in so long: 100/60s.")
@click.option("--key-concurrency", type=int, metavar="N", help="The same for each key.")
@click.option("--key-rate", metavar="N/SECONDSs", help="The same for each key: 10/s.")
@click.option("--ordered/--not-ordered", default=None, help="Jobs of a key one after the other.")
@click.option("--key", metavar="KEY", help="Only this key: --concurrency, --rate, --weight.")
@click.option("--weight", type=int, metavar="N", help="So many shares at its turn; needs --key.")
@click.option("--none", "nothing", is_flag=True, help="No limits; with --key, no exception.")
@click.option("--reset", is_flag=True, help="What the code has declared, and nothing else.")
@acting_options
@json_option
def limit(
    queue: str,
    key: str | None,
    weight: int | None,
    nothing: bool,
    reset: bool,
    store: Store,
    as_json: bool,
    **fields: Any,
) -> None:
    """Change what QUEUE allows, of all workers together, from the next claim on.

    \b
    pgqueue queues limit api --concurrency 20 --rate 100/60s --key-concurrency 2 --key-rate 10/s
    pgqueue queues limit api --key tenant-7 --concurrency 10 --weight 3

    Limits that are not named stay; without any option they are only shown. Changes survive deploys,
    until the code declares the field differently. Running jobs go on, and attempts that began
    before the queue had limits are not counted.
    """
    from pgqueue import operations
    from pgqueue.cli.limits import changes, exception

    if nothing and (reset or weight or any(value is not None for value in fields.values())):
        raise click.UsageError("--none goes with --key alone, or with nothing")
    of_key: str | None = None
    only_read = False
    if key is None:
        if weight is not None:
            raise click.UsageError("--weight needs --key, whose weight it is")
        changed = changes(queue, fields, nothing=nothing)
        only_read = not changed and not reset
        asked = operations.limit(queue, changed, reset=reset)
    else:
        own = exception(queue, key, weight, fields, nothing)
        asked = operations.limit_key(queue, key, own)
        of_key = f"key {key}: {str(own) or 'no limits' if own else 'as the others'}"
    _change(queue, asked, store, as_json, of_key, only_read=only_read)


@queues.command("set")
@click.argument("queue")
@click.option(
    "--lowest-share",
    type=float,
    required=True,
    metavar="PART",
    help="0.1: a tenth of what is claimed is not of the most urgent priority; 0: none of it.",
)
@acting_options
@json_option
def set_queue(queue: str, lowest_share: float, store: Store, as_json: bool) -> None:
    """Change how QUEUE is served, within about a second.

    With a lowest share, the other priorities that have work are served in turn while urgent jobs
    wait, so that none starves. A queue with keys or limits is served key by key instead.
    """
    from pgqueue import operations
    from pgqueue.cli.limits import share

    _change(queue, operations.limit(queue, share(queue, lowest_share)), store, as_json)


def _change(
    queue: str,
    asked: Operation[Limits | None],
    store: Store,
    as_json: bool,
    of_key: str | None = None,
    *,
    only_read: bool = False,
) -> None:
    """Has the store change the limits of *queue*, or of one key, *of_key* in words, and prints the
    limits in force now. What is *only_read* changes nothing, and is not noted in the audit."""
    from pgqueue.backends.capabilities import require
    from pgqueue.cli import output
    from pgqueue.jobs.limits import Limits
    from pgqueue.operations.auditing import noted
    from pgqueue.operations.operation import one

    who = None if only_read else store.who

    def words(held: Limits | None) -> str:
        return of_key or str(held or Limits())

    def changed() -> Plan[Limits | None]:
        return noted(
            one(asked),
            who,
            "limit",
            target=f"queue {queue}",
            reason=store.reason,
            answer=words,
        )

    with store.connected() as connected:
        require(connected, "limits")
        held = connected.together(changed)
    if as_json:
        output.print_json({"name": queue, "limits": held})
    else:
        say(f"{queue}: {words(held)}")


def _settle(
    *,
    paused: bool,
    names: tuple[str, ...],
    every: bool,
    store: Store,
    as_json: bool,
) -> None:
    from pgqueue import operations
    from pgqueue.cli import output
    from pgqueue.errors import InvalidJob
    from pgqueue.jobs import checks
    from pgqueue.operations import inspections
    from pgqueue.operations.auditing import noted
    from pgqueue.operations.operation import one

    who, verb = store.who, "pause" if paused else "resume"

    def settled(name: str) -> Plan[None]:
        asked = operations.pause(name) if paused else operations.resume(name)
        return noted(
            one(asked),
            who,
            verb,
            target=f"queue {name}",
            reason=store.reason,
            answer=lambda _: done,
        )

    done = "paused" if paused else "resumed"
    if every == bool(names):
        raise click.UsageError("give either the names of queues, or --all")
    try:
        for name in names:
            checks.name("queues", "QUEUE", name)
    except InvalidJob as error:
        raise click.UsageError(str(error)) from error
    with store.connected() as connected:
        if every:
            names = tuple(queue.name for queue in connected.execute(inspections.queues()))
        for name in names:
            connected.together(partial(settled, name))
    if as_json:
        output.print_json([{"name": name, "paused": paused} for name in names])
    else:
        for name in names:
            say(f"{name} {done}")
