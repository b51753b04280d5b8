"""`pgqueue worker APP`, also `python -m pgqueue.worker APP`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from pgqueue.cli.command import Command, line_of
from pgqueue.cli.printable import say
from pgqueue.cli.store import schema_name
from pgqueue.worker.options import Options

if TYPE_CHECKING:
    from pgqueue.app import App
    from pgqueue.worker.running.leaving import Deadline
    from pgqueue.worker.telemetry.systemd import Systemd
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


health_port_option = _setting(
    "health_port",
    "Answer probes and scrapes here, over HTTP: /live, /ready, /metrics.",
    type=int,
    metavar="PORT",
    show_default="nowhere",
)
log_level_option = _setting(
    "log_level",
    "What to log.",
    default="info",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    show_default=True,
)
log_format_option = _setting(
    "log_format",
    "A line a record for people, or a JSON object.",
    default="text",
    type=click.Choice(["text", "json"], case_sensitive=False),
    show_default=True,
)
jobs_url_option = click.option(
    "--url", metavar="URL", help="Where the jobs live; else the App's, or PGQUEUE_URL."
)


@click.command(cls=Command)
@click.argument("app", envvar="PGQUEUE_APP")
@_setting(
    "queues",
    "Which queues; a number is how many of its jobs run at once, a * stands for any text.",
    "-q",
    default="default",
    metavar="mail,slow:5,gpu.*",
    show_default=True,
)
@_setting(
    "exclude_queues", "Which queues not, where --queues has a *.", default="", metavar="slow,gpu.a*"
)
@_setting("concurrency", "How many jobs at once.", "-c", type=int, show_default=True)
@_setting(
    "threads",
    "How many of these may be plain functions, in threads.",
    type=int,
    show_default=True,
)
@_setting(
    "processes", "How many worker processes, kept running by one more.", "-p", default=1, type=int
)
@_setting(
    "pool_processes",
    'How many processes for tasks with executor="process".',
    type=int,
    show_default="as many as cores",
)
@_setting("max_jobs", "Stop after so many jobs; --processes starts another.", type=int)
@_setting("drain", "Stop when nothing is left that could run now.", is_flag=True)
@_setting("inlets", "Take messages for the App's inlets, too.", default=False, is_flag=True)
@_seconds("grace", "How long jobs may go on after SIGTERM.")
@_seconds("start_timeout", "How long to wait for the database at the start.")
@_seconds("poll_interval", "How often to look, should a notification be lost.")
@_seconds("heartbeat_interval", "How often to say that this worker lives.")
@_seconds("frozen_after", "Silent for so long, a worker's jobs are taken from it.")
@_seconds("term", "How long a leader leads without renewing.")
@_seconds("sleep_after", "Idle for so long, ask to be notified.")
@_setting("name", "What this worker is called.", show_default="host:pid")
@health_port_option
@_setting("health_host", "On which address.", metavar="ADDRESS", show_default=True)
@_setting(
    "health_file", "Write this file every 5 s, for probes that run a command.", metavar="PATH"
)
@_setting("reload", "Start anew when a *.py file below here changes.", default=False, is_flag=True)
@log_level_option
@log_format_option
@jobs_url_option
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
    log_format: str,
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
    from pgqueue.errors import PgqueueError, StoreUnavailable
    from pgqueue.worker import supervisor
    from pgqueue.worker.telemetry.systemd import Systemd

    try:
        options = Options(**settings)
    except (ValueError, PgqueueError) as error:
        raise click.UsageError(str(error)) from error
    if processes < 1:
        raise click.UsageError(f"--processes {processes}: at least one")
    place, systemd = supervisor.place(), Systemd.found()
    if place is None and (processes > 1 or reload):
        logs.configure(log_level, as_json=log_format == "json")
        several = supervisor.Supervisor(
            [sys.executable, "-m", "pgqueue.worker", *ctx.meta["pgqueue.arguments"]],
            processes,
            grace=options.grace,
            drain=options.drain,
            renews=options.max_jobs is not None,
            watched=Path.cwd() if reload else None,
            options=options,
            systemd=systemd,
        )
        ctx.exit(asyncio.run(several.run()))
    if place is not None:  # the supervisor answers for all of them
        name = None if options.name is None else f"{options.name}-{place + 1}"
        options = replace(options, name=name, health_port=None, health_file=None)
    try:
        found = _found(app, url, listen_url, schema)
        logs.configure(log_level, as_json=log_format == "json")
        if not place:  # the first of several, or the only one
            _tell_of_the_file(found)
        run(found, options, supervised=place is not None, systemd=systemd)
    except (PgqueueError, click.UsageError) as error:
        if place is None or ctx.meta["pgqueue.debug"]:
            raise
        if place == 0:  # its siblings would only repeat it
            text = error.message if isinstance(error, click.UsageError) else line_of(error)
            say(f"Error: {text}", err=True)
        if isinstance(error, click.UsageError):
            ctx.exit(supervisor.MISUSED)
        away = isinstance(error, StoreUnavailable)
        ctx.exit(supervisor.UNREACHABLE if away else supervisor.UNUSABLE)


def _found(name: str, url: str | None, listen_url: str | None, schema: str | None) -> App:
    """The application, with the store that the command line says."""
    from pgqueue.cli.app_loading import find_app

    app = find_app(name)
    if url is not None or listen_url is not None:
        app.use(url or app.url, listen_url=listen_url)
    if schema is not None and schema != app.schema:
        raise click.UsageError(
            f"{name} keeps its jobs in the schema {app.schema}, not in {schema}: "
            f"say App(schema={schema!r}) there"
        )
    return app


def _tell_of_the_file(app: App) -> None:
    """Who forgot to name a database would else wait in vain for the jobs that are in it."""
    from pgqueue.app import DEFAULT_URL
    from pgqueue.worker.service import log

    if app.url == DEFAULT_URL:
        file = Path("pgqueue.db").resolve()
        log.info("jobs are in %s: the App, --url and PGQUEUE_URL name no other database", file)


def run(
    app: App, options: Options, *, supervised: bool = False, systemd: Systemd | None = None
) -> None:
    """Works until told to stop. The process ends two seconds later, whatever is left running."""
    from pgqueue.worker.running import leaving
    from pgqueue.worker.worker import new_event_loop, spare_the_collector

    app.prepare()
    spare_the_collector()
    deadline = leaving.Deadline()
    runner = asyncio.Runner(loop_factory=new_event_loop)
    try:
        work = _run(app, options, deadline, supervised, systemd)
        worker = leaving.run_to_the_end(runner.get_loop(), work)
        if worker.stuck:
            leaving.leave(0)
    finally:
        deadline.by(leaving.LAST_SECONDS, 0 if sys.exc_info()[0] is None else 1)
        leaving.close(runner)


async def _run(
    app: App, options: Options, deadline: Deadline, supervised: bool, systemd: Systemd | None
) -> Worker:
    from pgqueue.worker.supervisor import relay
    from pgqueue.worker.worker import Worker

    worker = Worker(app, options, systemd=systemd, relay=relay())
    worker.handle_signals(deadline, supervised=supervised)
    await worker.run()
    return worker
