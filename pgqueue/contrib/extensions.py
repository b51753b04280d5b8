"""What the extensions of Flask and Quart share: their command, and how other processes find it."""

from __future__ import annotations

import os
from typing import Any, Final

import click

from pgqueue.app import App
from pgqueue.contrib.hosting import name_owner
from pgqueue.errors import PgqueueError
from pgqueue.tasks.hooks import AroundHook

EXTENSION: Final = "pgqueue"


def command(module: str, variable: str, script_info: Any) -> click.Command:
    """Return the command `pgqueue` of a framework's command line, with all of pgqueue's below it.

    *module* has `app`, which a worker's other processes ask for; *variable* tells them which
    application to load, by the framework's *script_info*.
    """

    @click.command(
        "pgqueue", add_help_option=False, context_settings={"ignore_unknown_options": True}
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    @click.pass_context
    def commands(context: click.Context, arguments: tuple[str, ...]) -> None:
        """Jobs and their workers: pgqueue --help"""
        from pgqueue.cli import main

        info = context.ensure_object(script_info)
        queue = queue_of(info.load_app())
        if info.app_import_path:
            os.environ[variable] = info.app_import_path
        os.environ["PGQUEUE_URL"] = queue.url
        os.environ["PGQUEUE_SCHEMA"] = queue.schema
        os.environ["PGQUEUE_APP"] = f"{module}:app"
        parent = context.parent.info_name if context.parent else None
        main.main(list(arguments), prog_name=" ".join(filter(None, [parent, "pgqueue"])))

    return commands


def queue_of(site: Any) -> App:
    """Return the queue of *site*. Its schedules belong to the application that has its tasks."""
    queue: App = site.extensions[EXTENSION].queue
    name_owner(queue)
    return queue


class Sites:
    """The application in whose contexts tasks run: the last one made in this process.

    A process of the pool imports only tasks, and makes no application: there *script_info* loads
    the one that *variable*, an environment variable, names.
    """

    def __init__(self, variable: str, script_info: Any) -> None:
        self._variable = variable
        self._script_info = script_info
        self._site: Any = None

    def made(self, site: Any) -> None:
        self._site = site

    def get(self) -> Any:
        """Return the application. Raises PgqueueError where none was made, and none is named."""
        if self._site is None:
            if not (name := os.environ.get(self._variable)):
                raise PgqueueError(
                    f"no application was made in this process: call init_app, or set "
                    f"{self._variable}"
                )
            self._site = self._script_info(name).load_app()
        return self._site


class Extension:
    """The extension. `PGQUEUE_URL` in the application's configuration says where the jobs live.

    Where a process makes several applications, in tests say, tasks run in the last one's context.
    """

    _commands: click.Command
    _sites: Sites
    _around: AroundHook

    def __init__(self, queue: App, site: Any = None) -> None:
        self.queue = queue
        queue.around(type(self)._around)
        if site is not None:
            self.init_app(site)

    def init_app(self, site: Any) -> None:
        """Have tasks run in contexts of *site*, and give it the command `pgqueue`."""
        self._sites.made(site)
        site.extensions[EXTENSION] = self
        site.cli.add_command(self._commands)
        if url := site.config.get("PGQUEUE_URL"):
            self.queue.use(url)
