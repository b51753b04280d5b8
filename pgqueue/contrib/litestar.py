"""Litestar: `Litestar(plugins=[PgqueuePlugin(queue, worker="inside")])`.

With `dashboard="/queue", authorize=…` the dashboard is there too, and only then imported.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import unquote

from pgqueue.app import App
from pgqueue.contrib.hosting import Where, checked, hosted
from pgqueue.errors import installed

with installed("litestar"):
    from litestar import Litestar, asgi
    from litestar.config.app import AppConfig
    from litestar.handlers import ASGIRouteHandler
    from litestar.plugins import InitPlugin
    from litestar.types import Receive, Scope, Send


class PgqueuePlugin(InitPlugin):
    """Has a *worker* run beside the application, as `pgqueue.contrib.starlette.lifespan` does.

    *dashboard*: the path below which the dashboard is, for those whom *authorize* lets in: a
    function of the request, with what the application's middleware has put into `request.scope`.
    """

    def __init__(
        self,
        queue: App,
        *,
        worker: Where = "external",
        dashboard: str | None = None,
        authorize: Any = None,
        **options: Any,
    ) -> None:
        checked(worker, options)
        self._dashboard = None if dashboard is None else mounted(queue, dashboard, authorize)
        self._queue = queue
        self._worker = worker
        self._options = options

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.lifespan.append(self._span)
        if self._dashboard is not None:
            app_config.route_handlers.append(self._dashboard)
        return app_config

    def _span(self, app: Litestar) -> AbstractAsyncContextManager[None]:
        return hosted(self._queue, self._worker, **self._options)


def mounted(queue: App, path: str, authorize: Any) -> ASGIRouteHandler:
    """Return the dashboard as a handler of all below *path*.

    Raises TypeError without *authorize*.
    """
    from pgqueue.dashboard import dashboard

    path = "/" + path.strip("/")
    site = dashboard(queue, authorize=authorize)

    @asgi(path, is_mount=True, copy_scope=True)
    async def pgqueue_dashboard(scope: Scope, receive: Receive, send: Send) -> None:
        # Litestar takes the prefix away, tells nobody, and puts a slash behind what is left.
        root = scope.get("root_path", "")
        said = unquote(scope["raw_path"].decode("latin-1"))
        whole = said if said.startswith(f"{root}{path}") else f"{root}{said}"
        below: Any = {**scope, "root_path": f"{root}{path}", "path": whole}
        await site(below, receive, send)  # type: ignore[arg-type]  # its own types of ASGI

    return pgqueue_dashboard
