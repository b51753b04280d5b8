"""`pgqueue status`: everything at one glance, once or as a live view."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from pgqueue.cli.command import Command
from pgqueue.cli.printable import printable_json
from pgqueue.cli.store import Store, json_option, store_options

if TYPE_CHECKING:
    from pgqueue.cli.store import Connected
    from pgqueue.errors import StoreUnavailable
    from pgqueue.views.charts import Hour
    from pgqueue.views.status import Status

HOUR_SECONDS: Final = 15.0
"""The seconds between two reads of the last hour."""


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

    With --watch a live view, and the last hour of each queue as workers have counted it; with
    --watch --json one line of JSON a look.
    """
    from pgqueue.cli import output, status_view

    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            _watch(store, as_json, interval)
        return
    with store.connected() as connected:
        found = _look(connected, store.schema)
    if as_json:
        output.print_json(found)
    else:
        output.console().print(status_view.view(found))


def _watch(store: Store, as_json: bool, interval: float) -> None:
    import msgspec
    from rich.live import Live

    from pgqueue.cli import output, status_view
    from pgqueue.errors import StoreUnavailable

    looks = _looks(store, interval, hourly=not as_json)
    if as_json:
        for look, _ in looks:
            if not isinstance(look, StoreUnavailable):
                click.echo(printable_json(msgspec.json.encode(look).decode()))
        return
    console = output.console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        for look, hour in looks:
            if isinstance(look, StoreUnavailable):
                live.update(output.foreign(f"{look}; trying again", "red"), refresh=True)
            else:
                live.update(status_view.view(look, hour), refresh=True)


def _looks(
    store: Store, interval: float, *, hourly: bool
) -> Iterator[tuple[Status | StoreUnavailable, Hour | None]]:
    """Yields the status every *interval* seconds, or that the store is away; and, with *hourly*,
    the last hour, to which workers add once a minute. Raises StoreUnavailable only if the store is
    away at the first look: then the URL is likely wrong."""
    from pgqueue.errors import StoreUnavailable
    from pgqueue.views.charts import last_hour

    seen = False
    while True:
        try:
            with store.connected() as connected:
                hour, read_at = None, float("-inf")
                while True:
                    if hourly and time.monotonic() - read_at >= HOUR_SECONDS:
                        hour = connected.carry(last_hour(datetime.now(UTC)))
                        read_at = time.monotonic()
                    yield _look(connected, store.schema), hour
                    seen = True
                    time.sleep(interval)
        except StoreUnavailable as error:
            if not seen:
                raise
            yield error, None
            time.sleep(interval)


def _look(connected: Connected, schema: str) -> Status:
    from pgqueue.backends.plans import carry_out
    from pgqueue.views import status as figures

    plan = figures.looking(schema, connected.head, figures.MOST_COUNTED, figures.MOST_MEASURED)
    return carry_out(plan, connected.execute)
