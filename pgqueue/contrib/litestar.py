"""Litestar: `Litestar(plugins=[PgqueuePlugin(queue, worker="inside")])`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from pgqueue.app import App
from pgqueue.contrib.hosting import Where, checked, hosted


class PgqueuePlugin(InitPlugin):
    """Has a *worker* run beside the application, as `pgqueue.contrib.starlette.lifespan` does."""

    def __init__(self, queue: App, *, worker: Where = "external", **options: Any) -> None:
        checked(worker, options)
        self._queue = queue
        self._worker = worker
        self._options = options

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.lifespan.append(self._span)
        return app_config

    def _span(self, app: Litestar) -> AbstractAsyncContextManager[None]:
        return hosted(self._queue, self._worker, **self._options)
