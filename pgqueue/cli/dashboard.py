"""`pgqueue dashboard`: look at the queue in a browser, and act on it."""

from __future__ import annotations

import getpass
import os

import click

from pgqueue.cli.command import Command
from pgqueue.cli.printable import say
from pgqueue.cli.store import Store, store_options
from pgqueue.errors import installed

PASSWORD = "PGQUEUE_DASHBOARD_PASSWORD"


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="The port; 0: any.",
)
@click.option("--auth", metavar="USER", help=f"Ask for a name, and the password in {PASSWORD}.")
@click.option(
    "--allow-host", multiple=True, metavar="NAME", help="A host name by which people reach it."
)
@click.option(
    "--trusted-proxy",
    multiple=True,
    metavar="ADDRESS",
    help="A proxy in front, whose X-Forwarded-Prefix and -Host are believed.",
)
@click.option("--app", "app_name", metavar="MODULE:APP", help="The App whose tasks have forms.")
@click.option("--read-only", is_flag=True, help="Show, and let nobody act.")
@click.option("--name", default="", help="What this instance is called, in the header.")
@click.option(
    "--colour",
    type=click.Choice(["indigo", "teal", "amber", "crimson", "slate"]),
    default="indigo",
    show_default=True,
    help="The header's colour: red for production, say.",
)
@store_options
def dashboard(
    store: Store,
    host: str,
    port: int,
    auth: str | None,
    allow_host: tuple[str, ...],
    trusted_proxy: tuple[str, ...],
    app_name: str | None,
    read_only: bool,
    name: str,
    colour: str,
) -> None:
    """Look at the queue in a browser.

    On this machine alone, by a link that works once and is printed here. For others, or behind a
    proxy: --host and --auth; TLS is the proxy's. Ctrl-C ends it.
    """
    from pgqueue.app import App
    from pgqueue.cli.app_loading import find_app

    with installed("dashboard"):
        from pgqueue.dashboard.entry import OneTimeLink, Password
        from pgqueue.dashboard.serving import LOCAL, serve

    if auth is None and host not in LOCAL:
        raise click.UsageError(
            f"--host {host} lets everybody in who reaches it: give --auth USER, and a password in "
            f"{PASSWORD}"
        )
    entry: OneTimeLink | Password
    if auth is None:
        entry = OneTimeLink(getpass.getuser())
    elif password := os.environ.get(PASSWORD):
        entry = Password(auth, password)
    else:
        raise click.UsageError(f"--auth wants a password: set {PASSWORD}")
    with store.connected():  # a wrong URL is said here, not in the browser
        pass
    if app_name is None:
        app = App(store.url, schema=store.schema)
    else:
        app = find_app(app_name)
        if store.given_url:
            app.use(store.url)

    def listening(address: str) -> None:
        path = entry.path if isinstance(entry, OneTimeLink) else "/"
        say(f"http://{address}{path}")

    serve(
        app,
        entry,
        host=host,
        port=port,
        hosts=None if host in ("0.0.0.0", "::") and not allow_host else {*LOCAL, host, *allow_host},
        proxies=trusted_proxy,
        read_only=read_only,
        name=name,
        colour=colour,
        listening=listening,
    )
