"""The dashboard in a process of its own, on uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Collection
from typing import Final

import uvicorn

from pgqueue.app import App
from pgqueue.dashboard.entry import OneTimeLink, Password
from pgqueue.dashboard.proxies import TrustedProxies
from pgqueue.dashboard.routes import dashboard
from pgqueue.errors import PgqueueError

LEAVING_SECONDS: Final = 1
LOCAL: Final = ("127.0.0.1", "localhost", "::1")


def serve(
    app: App,
    entry: OneTimeLink | Password,
    *,
    listening: Callable[[str], None],
    host: str = "127.0.0.1",
    port: int = 0,
    hosts: Collection[str] | None = LOCAL,
    proxies: Collection[str] = (),
    read_only: bool = False,
    name: str = "",
    colour: str = "indigo",
    ended: threading.Event | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; *listening* is given the address once it answers.

    In a thread that is not the main one, until *ended*.

    Raises PgqueueError when the address cannot be had.
    """
    site = dashboard(
        app,
        authorize=entry.authorize,
        hosts=hosts,
        read_only=read_only,
        name=name,
        colour=colour,
    )
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise PgqueueError(f"{host}:{port} cannot be listened on: {error.strerror}") from error
    config = uvicorn.Config(
        TrustedProxies(entry.guard(site), proxies),
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=LEAVING_SECONDS,
    )
    with listener:
        number = listener.getsockname()[1]
        listening(f"[{host}]:{number}" if ":" in host else f"{host}:{number}")
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_run(uvicorn.Server(config), listener, app, ended))


async def _run(
    server: uvicorn.Server, listener: socket.socket, app: App, ended: threading.Event | None
) -> None:
    async def watch(ended: threading.Event) -> None:
        await asyncio.to_thread(ended.wait)
        server.should_exit = True

    watching = asyncio.create_task(watch(ended)) if ended else None
    try:
        await server.serve([listener])
        if watching is not None:
            await watching
    finally:
        await app.close_async()
