"""FastAPI: `web.include_router(router(queue, worker="child", dashboard="/queue", ...))`.

A router brings a lifespan, which FastAPI merges with the application's own, and the dashboard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pgqueue.app import App
from pgqueue.contrib.hosting import Where, lifespan
from pgqueue.errors import installed

with installed("fastapi"):
    from fastapi import APIRouter, Request, Response
    from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from fastapi.params import Depends
    from starlette.types import ASGIApp

    from pgqueue.dashboard.access import Authorize

METHODS: Final = ["GET", "HEAD", "POST"]


def router(
    queue: App,
    *,
    worker: Where = "external",
    dashboard: str | None = None,
    dependencies: Sequence[Depends] = (),
    authorize: Authorize | None = None,
    **options: Any,
) -> APIRouter:
    """Return a router that has a *worker* run beside the application, as `lifespan` does.

    *dashboard*: the path of the dashboard, behind *dependencies*, FastAPI's own, and *authorize*,
    as `pgqueue.dashboard.dashboard` has it; without *authorize*, everybody whom the dependencies
    let through may do everything. Raises TypeError for a dashboard behind neither.
    """
    made = APIRouter(lifespan=lifespan(queue, worker=worker, **options))
    if dashboard is None:
        return made
    from pgqueue.dashboard import allow_all
    from pgqueue.dashboard import dashboard as site_of

    if authorize is None and not dependencies:
        raise TypeError(
            "dashboard: give dependencies or authorize: they decide who may see it, and act"
        )
    site = site_of(queue, authorize=authorize or allow_all)
    path = dashboard.rstrip("/")

    async def show(request: Request) -> Response:
        return _Mounted(site)

    for each in (path, f"{path}/{{path:path}}"):
        made.add_api_route(
            each,
            show,
            methods=METHODS,
            dependencies=list(dependencies),
            include_in_schema=False,
            response_model=None,
        )
    return made


class _Mounted(Response):
    """A response made by an ASGI application: if that were mounted, it would bypass the
    dependencies."""

    def __init__(self, site: ASGIApp) -> None:
        super().__init__()
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rest = scope["path_params"].get("path", "")
        mounted = scope["path"][: len(scope["path"]) - len(rest)].rstrip("/")
        child = {**scope, "root_path": mounted, "path_params": {}}
        if not rest:
            child["path"] = f"{mounted}/"
        await self._site(child, receive, send)
