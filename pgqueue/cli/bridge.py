"""`pgqueue bridge APP [NAME...]`: a worker that runs outlets and inlets and nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli.command import Command, LazyGroup
from pgqueue.cli.store import json_option
from pgqueue.cli.worker import (
    _found,
    _setting,
    health_port_option,
    jobs_url_option,
    log_format_option,
    log_level_option,
    run,
)
from pgqueue.worker.options import Options

if TYPE_CHECKING:
    from pgqueue.app import App


class _Bridge(LazyGroup):
    """A group whose first command needs no name: a word that is no command names an application."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *self.get_help_option_names(ctx)}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Bridge, subcommand_metavar="APP [NAME]... | COMMAND")
def bridge() -> None:
    """Run only the outlets and inlets of an application: what it sends to brokers and takes from
    them.

    `pgqueue bridge shop.tasks:app orders` is short for `pgqueue bridge run shop.tasks:app orders`.
    So brokers' credentials are in one place, and no other worker needs them.
    """


@bridge.command("run", cls=Command)
@click.argument("app", envvar="PGQUEUE_APP")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_setting("concurrency", "How many messages at once.", "-c", type=int, default=1_000)
@_setting("drain", "Stop when nothing is left that could be sent now.", is_flag=True)
@_setting("grace", "How long messages may go on after SIGTERM.", type=float, metavar="SECONDS")
@_setting("name", "What this worker is called.", show_default="host:pid")
@health_port_option
@log_level_option
@log_format_option
@jobs_url_option
def run_bridge(
    app: str,
    names: tuple[str, ...],
    log_level: str,
    log_format: str,
    url: str | None,
    **settings: Any,
) -> None:
    """Run the outlets and inlets of APP, or those with these names."""
    from pgqueue.cli import logs
    from pgqueue.errors import PgqueueError

    found = _found(app, url, None, None)
    try:
        bridges = chosen(found, app, names)
        inlets = [name for name in bridges if name in found.inlets]
        options = Options(queues=bridges, inlets=inlets, **settings)
    except (ValueError, PgqueueError) as error:
        raise click.UsageError(str(error)) from error
    logs.configure(log_level, as_json=log_format == "json")
    run(found, options)


@bridge.command(cls=Command)
@click.argument("app", envvar="PGQUEUE_APP")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
@click.pass_context
def check(ctx: click.Context, app: str, names: tuple[str, ...], as_json: bool) -> None:
    """Connect to the brokers of APP, look for what is needed there, and change nothing.

    Exit code 1 when something is wrong.
    """
    from rich.text import Text

    from pgqueue.cli import output

    found = _found(app, None, None, None)
    examined = asyncio.run(_examined(found, chosen(found, app, names)))
    if as_json:
        output.print_json(examined)
    else:
        table = output.table("", "bridge", "place", "found")
        for each in examined:
            sign, style = ("✗", "bold red") if each["problems"] else ("✓", "green")
            said = "; ".join(each["problems"]) or "well"
            table.add_row(Text(sign, style), each["name"], each["place"], output.foreign(said))
        output.console().print(table)
    ctx.exit(1 if any(each["problems"] for each in examined) else 0)


async def _examined(app: App, names: list[str]) -> list[dict[str, Any]]:
    return await asyncio.gather(*(_examine(app, name) for name in names))


async def _examine(app: App, name: str) -> dict[str, Any]:
    """What `check` says of one outlet or inlet."""
    from pgqueue.bridges import Unreachable

    if (outlet := app.outlets.get(name)) is not None:
        kind, place, examining = "outlet", outlet.sink.place, outlet.sink.examine()
    else:
        inlet = app.inlets[name]
        kind, place, examining = "inlet", inlet.source.place, inlet.source.examine(inlet.keep)
    try:
        problems = list(await examining)
    except Unreachable as error:
        problems = [str(error)]
    return {"name": name, "kind": kind, "place": place, "problems": problems}


def chosen(app: App, said: str, names: tuple[str, ...]) -> list[str]:
    """The outlets and inlets called *names*, or all; raises UsageError."""
    there = sorted({*app.outlets, *app.inlets})
    if not there:
        raise click.UsageError(f"{said} has no outlets; it should say app.outlet(...)")
    if unknown := [name for name in names if name not in there]:
        raise click.UsageError(f"{said} has no bridge {unknown[0]}; it has {', '.join(there)}")
    return list(names) or there
