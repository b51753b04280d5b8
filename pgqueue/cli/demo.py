"""`pgqueue demo`: real jobs on a real PostgreSQL, with nothing installed but this package."""

from __future__ import annotations

import getpass
import os
import signal
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli.command import Command
from pgqueue.cli.store import json_option, url_option

if TYPE_CHECKING:
    from pgqueue.app import App

MOST_FILES = 20_000


@click.command(cls=Command)
@click.argument(
    "directory", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False
)
@click.option(
    "--processes", type=click.IntRange(1, 64), help="How many worker processes; as many as cores."
)
@click.option("--keep", is_flag=True, help="Go on until Ctrl-C, to look around.")
@url_option
@json_option
def demo(
    directory: Path | None, processes: int | None, keep: bool, url: str | None, as_json: bool
) -> None:
    """Read every Python file of DIRECTORY, one job each, and merge what they found.

    Without DIRECTORY it reads Python's own library, and without a URL it starts a PostgreSQL of
    its own, which keeps its data and ends with it. In a database of yours, everything is in a
    schema, or in tables, that go in the end.
    """
    from rich.console import Console

    from pgqueue.cli import output
    from pgqueue.demo.show import Show
    from pgqueue.worker.reloader import python_files

    directory = (directory or Path(sysconfig.get_path("stdlib"))).resolve()
    paths = sorted(python_files(directory))[:MOST_FILES]
    if not paths:
        raise click.UsageError(f"there is no Python file below {directory}")
    # With --json, stdout is for the figures alone.
    console = Console(stderr=True, highlight=False) if as_json else output.console()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _play(Show(console), directory, paths, processes or _cores(), keep, url, as_json)
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        click.get_current_context().exit(130)


def _play(
    show: Any,
    directory: Path,
    paths: list[Path],
    processes: int,
    keep: bool,
    url: str | None,
    as_json: bool,
) -> None:
    from pgqueue.cli import output
    from pgqueue.demo import app
    from pgqueue.demo.play import Play
    from pgqueue.demo.show import workers as workers_text
    from pgqueue.demo.stage import database, workers

    loud = click.get_current_context().meta["pgqueue.debug"]
    with ExitStack() as stack:
        with show.waiting("starting PostgreSQL" if url is None else "making the tables"):
            stage = stack.enter_context(database(url, keep=keep))
            cast = stack.enter_context(workers(stage, processes, loud=loud))
        show.say(f"[bold]{stage.server}[/bold] {stage.where}")
        app.use(stage.url)
        stack.callback(app.close)
        play = Play(stage, cast, directory, paths)
        with show.waiting("starting worker processes"):
            play.await_workers()
        show.say(f"[bold]{workers_text(processes)}[/bold] ready")
        jobs = play.enqueue()
        show.say(
            f"[bold]one transaction[/bold] with a row of the application's own and {jobs:,} "
            f"jobs: one for each of {len(paths):,} files below {directory}, a last one that waits "
            "for them all, and some that fail or are due later"
        )
        seconds = show.watch(play).seconds
        with show.waiting("single jobs, and a burst of empty ones"):
            figures = play.figures(seconds)
        show.end(figures, output.span)
        if as_json:
            output.print_json(figures)
            sys.stdout.flush()
        dashboard = stack.enter_context(_dashboard(app)) if keep else None
        if keep or not as_json:
            show.ways_on(stage, keep=keep, dashboard=dashboard)
        if keep:
            signal.pause()


@contextmanager
def _dashboard(app: App) -> Iterator[str | None]:
    """A dashboard of *app*, in a thread; the link that lets a browser in.

    None where what it needs is not installed.
    """
    try:
        from pgqueue.dashboard.entry import OneTimeLink
        from pgqueue.dashboard.serving import serve
    except ImportError:
        yield None
        return
    entry = OneTimeLink(getpass.getuser())
    addresses: SimpleQueue[str] = SimpleQueue()
    ended = Event()
    serving = Thread(
        target=serve,
        args=(app, entry),
        kwargs={"name": "demo", "listening": addresses.put, "ended": ended},
        daemon=True,
    )
    serving.start()
    try:
        yield f"http://{addresses.get()}{entry.path}"
    finally:
        ended.set()
        serving.join()


def _cores() -> int:
    return max(2, min(4, len(os.sched_getaffinity(0)) if sys.platform == "linux" else 2))


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
