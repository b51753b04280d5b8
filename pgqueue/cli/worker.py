"""`pgqueue worker APP`, also `python -m pgqueue.worker APP`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from pgqueue.cli.command import Command, line_of
from pgqueue.cli.store import schema_name
from pgqueue.worker.options import Options

if TYPE_CHECKING:
    from pgqueue.app import App
    from pgqueue.worker.worker import Worker

F = TypeVar("F", bound=Callable[..., Any])
_DEFAULTS: Final = Options()


def _setting(name: str, help: str, *short: str, **settings: Any) -> Callable[[F], F]:
    """An option of `pgqueue.worker.Options`, with the variable that sets it, too."""
    flag = f"--{name.replace('_', '-')}"
    if "default" not in settings:
        settings["default"] = getattr(_DEFAULTS, name)
    return click.option(
        flag,
        *short,
        name,
        envvar=f"PGQUEUE_{name.upper()}",
        show_envvar=True,
        help=help,
        **settings,
    )


def _seconds(name: str, help: str) -> Callable[[F], F]:
    return _setting(name, help, type=float, metavar="SECONDS", show_default=True)


@click.command(cls=Command)
@click.argument("app", envvar="PGQUEUE_APP")
@_setting(
    "queues",
    "Which queues; a number is how many of its jobs run at once.",
    "-q",
    default="default",
    metavar="mail,slow:5",
    show_default=True,
)
@_setting("concurrency", "How many jobs at once.", "-c", type=int, show_default=True)
@_setting(
    "processes", "How many worker processes, kept running by one more.", "-p", default=1, type=int
)
@_setting(
    "pool_processes",
    'How many processes for tasks with executor="process".',
    type=int,
    show_default="as many as cores",
)
@_setting("drain", "Stop when nothing is left that could run now.", is_flag=True)
@_seconds("grace", "How long jobs may go on after SIGTERM.")
@_seconds("poll_interval", "How often to look, should a notification be lost.")
@_seconds("heartbeat_interval", "How often to say that this worker lives.")
@_seconds("frozen_after", "Silent for so long, a worker's jobs are taken from it.")
@_seconds("term", "How long a leader leads without renewing.")
@_seconds("sleep_after", "Idle for so long, ask to be notified.")
@_setting("name", "What this worker is called.", show_default="host:pid")
@_setting("reload", "Start anew when a *.py file below here changes.", default=False, is_flag=True)
@_setting(
    "log_level",
    "What to log.",
    default="info",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    show_default=True,
)
@_setting("log_json", "Log one JSON object a record.", default=False, is_flag=True)
@click.option("--url", metavar="URL", help="Where the jobs live; else the App's, or PGQUEUE_URL.")
@click.option(
    "--listen-url", metavar="URL", help="A way around a pooler, to listen; or PGQUEUE_LISTEN_URL."
)
@click.option(
    "--schema", envvar="PGQUEUE_SCHEMA", metavar="NAME", callback=schema_name,
    help="Make sure that this is the App's schema.",
)  # fmt: skip
@click.pass_context
def worker(
    ctx: click.Context,
    /,
    app: str,
    processes: int,
    reload: bool,
    log_level: str,
    log_json: bool,
    url: str | None,
    listen_url: str | None,
    schema: str | None,
    **settings: Any,
) -> None:
    """Run the jobs of APP: "shop.tasks:app", or "shop.tasks" if there is just one App in it.

    SIGTERM or Ctrl-C stops it in good order: it takes no more jobs, lets those that run finish
    within the grace period, and hands back the others. A second one stops it now.
    """
    from pgqueue.cli import logs
    from pgqueue.errors import PgqueueError
    from pgqueue.worker import supervisor

    try:
        options = Options(**settings)
    except (ValueError, PgqueueError) as error:
        raise click.UsageError(str(error)) from error
    if processes < 1:
        raise click.UsageError(f"--processes {processes}: at least one")
    place = supervisor.place()
    if place is None and (processes > 1 or reload):
        logs.configure(log_level, as_json=log_json)
        supervised = supervisor.Supervisor(
            [sys.executable, "-m", "pgqueue.worker", *ctx.meta["pgqueue.arguments"]],
            processes,
            drain=options.drain,
            watched=Path.cwd() if reload else None,
        )
        ctx.exit(asyncio.run(supervised.run()))
    if place is not None and options.name:
        options = Options(**settings | {"name": f"{options.name}-{place + 1}"})
    try:
        ctx.exit(_work(app, options, url, listen_url, schema, log_level, log_json))
    except (PgqueueError, click.UsageError) as error:
        if place is None or ctx.meta["pgqueue.debug"]:
            raise
        if place == 0:  # its siblings would only repeat it
            text = error.message if isinstance(error, click.UsageError) else line_of(error)
            click.echo(f"Error: {text}", err=True)
        misused = isinstance(error, click.UsageError)
        ctx.exit(supervisor.MISUSED if misused else supervisor.UNUSABLE)


def _work(
    name: str,
    options: Options,
    url: str | None,
    listen_url: str | None,
    schema: str | None,
    log_level: str,
    log_json: bool,
) -> int:
    from pgqueue.cli import logs
    from pgqueue.cli.finding import find_app

    app = find_app(name)
    if url is not None or listen_url is not None:
        app.use(url or app.url, listen_url=listen_url)
    if schema is not None and schema != app.schema:
        raise click.UsageError(
            f"{name} keeps its jobs in the schema {app.schema}, not in {schema}: "
            f"say App(schema={schema!r}) there"
        )
    logs.configure(log_level, as_json=log_json)
    run(app, options)
    return 0


def run(app: App, options: Options) -> None:
    """Works until told to stop. Does not return when a function that cannot be stopped is left."""
    from pgqueue.worker.worker import new_event_loop, spare_the_collector

    app.prepare()
    spare_the_collector()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        if runner.run(_run(app, options)).stuck:
            logging.getLogger("pgqueue.worker").warning("leaving functions behind that still run")
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


async def _run(app: App, options: Options) -> Worker:
    from pgqueue.worker.worker import Worker

    worker = Worker(app, options)
    worker.handle_signals()
    await worker.run()
    return worker
