"""`pgqueue status`: everything at one glance, once or as a live view."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pgqueue.cli.command import Command
from pgqueue.cli.store import Store, json_option, store_options

if TYPE_CHECKING:
    from pgqueue.cli.figures import Status
    from pgqueue.errors import StoreUnavailable


@click.command(cls=Command)
@click.option("--watch", "-w", is_flag=True, help="Keep looking, until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@store_options
@json_option
def status(store: Store, as_json: bool, watch: bool, interval: float) -> None:
    """What waits, what runs, how fast, and who does it.

    With --watch a live view; with --watch --json one line of JSON a look.
    """
    from pgqueue.cli import output, status_view
    from pgqueue.cli.figures import read

    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            _watch(store, as_json, interval)
        return
    with store.connected() as connected:
        found = read(connected, store.schema)
    if as_json:
        output.print_json(found)
    else:
        output.console().print(status_view.view(found))


def _watch(store: Store, as_json: bool, interval: float) -> None:
    import msgspec
    from rich.live import Live

    from pgqueue.cli import output, status_view
    from pgqueue.errors import StoreUnavailable

    looks = _looks(store, interval)
    if as_json:
        for look in looks:
            if not isinstance(look, StoreUnavailable):
                click.echo(msgspec.json.encode(look))
        return
    console = output.console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        for look in looks:
            if isinstance(look, StoreUnavailable):
                live.update(f"[red]{look}[/red]; trying again", refresh=True)
            else:
                live.update(status_view.view(look), refresh=True)


def _looks(store: Store, interval: float) -> Iterator[Status | StoreUnavailable]:
    """What is to be seen, every *interval* seconds; away from the start, the store is an error."""
    from pgqueue.cli.figures import read
    from pgqueue.errors import StoreUnavailable

    seen = False
    while True:
        try:
            with store.connected() as connected:
                while True:
                    yield read(connected, store.schema)
                    seen = True
                    time.sleep(interval)
        except StoreUnavailable as error:
            if not seen:
                raise
            yield error
            time.sleep(interval)
