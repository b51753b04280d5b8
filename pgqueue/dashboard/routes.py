"""The ASGI application: every route names the verb that it asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from pgqueue.app import App
from pgqueue.dashboard import pages
from pgqueue.dashboard.access import Authorize
from pgqueue.dashboard.actions import ACTIONS
from pgqueue.dashboard.live import live
from pgqueue.dashboard.posts import Posts
from pgqueue.dashboard.safety import Safety
from pgqueue.dashboard.site import Dashboard, Show, refused
from pgqueue.doctor import Finding, examine
from pgqueue.errors import PgqueueError
from pgqueue.views.graph_formats import svg
from pgqueue.views.graph_layout import nodes

FOLDER: Final = Path(__file__).parent
COLOURS: Final = ("indigo", "teal", "amber", "crimson", "slate")
EXAMINED_SECONDS: Final = 60.0
"""For so long the doctor's findings are kept: some take the store a while."""


class Examination:
    """What the doctor has found, asked for when somebody looks, and kept for a minute."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._found: list[Finding] = []
        self._at: float | None = None
        self._lock = asyncio.Lock()

    async def findings(self) -> list[Finding]:
        """Return what was found, in a thread: its checks block."""
        async with self._lock:
            if self._at is None or time.monotonic() - self._at > EXAMINED_SECONDS:
                app = self._app
                self._found = await asyncio.to_thread(
                    lambda: list(examine(app.backend, app.schema))
                )
                self._at = time.monotonic()
            return self._found


def routes(site: Dashboard) -> Sequence[Route]:
    """Return all routes. The name of each is its verb."""
    app = site.app
    overview = partial(pages.overview, schema=app.schema, head=app.backend.head)
    shown: Mapping[str, tuple[str, str, str, Show]] = {
        "/": ("see", "Overview", "overview", overview),
        "/queues/{name:path}": ("see", "Queue", "queue", pages.queue),
        "/jobs": ("see", "Jobs", "jobs", pages.jobs),
        "/jobs/{id:int}": ("see", "Job", "job", pages.job),
        "/jobs/{id:int}/edit": (
            "enqueue",
            "Retry edited",
            "enqueue",
            partial(pages.edit_form, tasks=app.tasks),
        ),
        "/enqueue": ("enqueue", "Enqueue", "enqueue", partial(pages.enqueue_form, tasks=app.tasks)),
        "/tasks/{name:path}": ("see", "Task", "task", pages.task),
        "/failures": ("see", "Failures", "failures", pages.failures),
        "/workers": ("see", "Workers", "workers", pages.workers),
        "/workflows": ("see", "Workflows", "workflows", pages.workflows),
        "/workflows/{id:int}": ("see", "Workflow", "workflow", pages.workflow),
        "/schedules": ("see", "Schedules", "schedules", pages.list_schedules),
        "/schedules/{name:path}": ("see", "Schedule", "schedule", pages.schedule),
        "/limits": ("see", "Limits", "limits", pages.limits),
        "/bridges": ("see", "Bridges", "bridges", pages.bridges),
        "/audit": ("see", "Audit", "audit", pages.audit),
    }
    made: list[Route] = []
    for path, (verb, title, template, view) in shown.items():
        show = partial(site.show, verb=verb, title=title, template=template, view=view)
        made.append(_get(path, verb, show))
        # In front of the page's path: behind it, it would be part of a name that may hold slashes.
        stream = partial(live, site, verb=verb, template=template, view=view)
        made.append(_get(f"/live{path}", verb, stream))
    made.append(_get("/find", "see", partial(_find, site)))
    made.append(_get("/workflows/{id:int}.svg", "see", partial(_graph, site)))
    examination = Examination(app)
    made.append(_get("/system", "see", partial(_system, site, examination)))
    posts = Posts(site)
    for path, (verb, action) in ACTIONS.items():
        act = partial(posts.act, path=path, verb=verb, action=action)
        made.append(Route(path, _endpoint(act), methods=["POST"], name=verb))
    made.append(_get("/bulk/{id:int}", "see", posts.bulk))
    made.append(Route("/bulk/{id:int}/stop", _endpoint(posts.stop), methods=["POST"], name="see"))
    return made


async def _graph(site: Dashboard, request: Request) -> Response:
    """A workflow's picture, as an image that runs nothing."""
    access = await site.access(request, "see")
    if access is None:
        return refused()
    try:
        page, _ = await site.look(request, access, "workflow", pages.workflow)
    except (pages.NoSuchPage, PgqueueError, TimeoutError):
        return PlainTextResponse("not here\n", 404)
    assert isinstance(page, pages.WorkflowPage)
    picture = svg(nodes(page.graph), datetime.now(UTC))
    return Response(picture, media_type="image/svg+xml")


async def _find(site: Dashboard, request: Request) -> Response:
    """Lead to the job of that number, or to the jobs of that task."""
    if await site.access(request, "see") is None:
        return refused()
    root, what = request.scope.get("root_path", ""), request.query_params.get("what", "").strip()
    if what.isascii() and what.isdecimal() and len(what) < 19:
        return RedirectResponse(f"{root}/jobs/{what}", 303)
    query = urlencode({"task": what}) if what else ""
    return RedirectResponse(f"{root}/jobs?{query}", 303)


async def _system(site: Dashboard, examination: Examination, request: Request) -> Response:
    access = await site.access(request, "see")
    if access is None:
        return refused()
    app = site.app
    view = partial(
        pages.system,
        store=app.backend.store,
        capabilities=sorted(app.backend.capabilities),
        schema=app.schema,
        head=app.backend.head,
        files=site.statements,
        settings={"max_rescues": app.max_rescues, "environment": app.environment},
        findings=await examination.findings(),
    )
    return await site.show(request, "see", "System", "system", view)


def _get(path: str, verb: str, answer: Callable[..., Awaitable[Response]]) -> Route:
    return Route(path, _endpoint(answer), methods=["GET"], name=verb)


def _endpoint(answer: Callable[..., Awaitable[Response]]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return await answer(request=request)

    return endpoint


def dashboard(
    app: App | str,
    *,
    authorize: Authorize,
    hosts: Collection[str] | None = None,
    read_only: bool = False,
    name: str = "",
    colour: str = "indigo",
) -> ASGIApp:
    """Return the dashboard of *app*, or of the store at a URL, as an ASGI application.

    *authorize*: a function of the request, plain or async, that returns an `Access`, or None for a
    viewer who may see nothing; `allow_all` has to be written out. *hosts*: the names under which it
    answers; None where the application around it looks after that. *read_only*: nobody may act.
    *name* and *colour* tell instances apart. Raises TypeError without *authorize*.
    """
    if not callable(authorize):
        raise TypeError("authorize: give a function of the request that returns an Access or None")
    if colour not in COLOURS:
        raise ValueError(f"colour: {colour!r:.40}; there are {', '.join(COLOURS)}")
    app = App(app) if isinstance(app, str) else app
    site = Dashboard(app, authorize, read_only=read_only, name=name, colour=colour)
    static = Mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    return Safety(Starlette(routes=[*routes(site), static]), hosts)
