"""The dashboard in a Django project: for its staff, by its sessions, under ASGI and WSGI.

    urlpatterns = [path("queue/", include("pgqueue.contrib.django.dashboard"))]

Superusers may do everything. Other members of the staff may see it if they may view jobs, and retry
and cancel if they have these rights of the model `Job`. Or write your own rule::

    path("queue/", include(dashboard.urls(access=lambda request: Access(request.user.username))))

The site runs on an event loop in a thread of its own, the same for all requests of the process.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, re_path
from django.views.decorators.csrf import csrf_exempt

from pgqueue.contrib.django.queue_app import default_app
from pgqueue.dashboard import Access
from pgqueue.dashboard import dashboard as site_of

AccessOf: TypeAlias = Callable[[HttpRequest], Access | None]
_ACCESS: Final = "pgqueue.access"


def staff(request: HttpRequest) -> Access | None:
    """Return what a member of the staff may, by the rights that Django has for the model `Job`."""
    user = request.user
    if user.is_superuser:
        return Access(user.get_username())
    rights = {"see": "view", "retry": "retry", "cancel": "cancel"}
    may = {verb for verb, right in rights.items() if user.has_perm(f"pgqueue.{right}_job")}
    return Access(user.get_username(), frozenset(may)) if "see" in may else None


def urls(*, access: AccessOf = staff, name: str = "", colour: str = "indigo") -> list[URLPattern]:
    """Return patterns for `include`. *access*: what a member of the staff may; None: nothing.

    *name* and *colour* tell instances apart.
    """

    # These forms have no token: the site checks the origin that a browser sends with each post.
    @csrf_exempt
    @staff_member_required(login_url=_login())
    async def page(request: HttpRequest, path: str) -> HttpResponse:
        request.get_host()  # raises what Django answers where ALLOWED_HOSTS lacks it
        allowed = await sync_to_async(access)(request)
        site, loop = _running(os.getpid(), name, colour)
        answer = _answer(site, _scope(request, path, allowed), request.body)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer, loop))

    return [re_path(r"^(?P<path>.*)$", page, name="pgqueue-dashboard")]


def _login() -> str | None:
    """Where strangers are sent: the admin's login, or LOGIN_URL in a project without it."""
    return "admin:login" if apps.is_installed("django.contrib.admin") else None


@cache
def _running(process: int, name: str, colour: str) -> tuple[Any, asyncio.AbstractEventLoop]:
    """The site and its event loop, made with the first request: not before a server has forked."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="pgqueue dashboard", daemon=True).start()
    site = site_of(
        default_app(),
        authorize=lambda request: request.scope[_ACCESS],
        name=name,
        colour=colour,
    )
    return site, loop


def _scope(request: HttpRequest, path: str, access: Access | None) -> dict[str, Any]:
    root = request.path[: len(request.path) - len(path)].rstrip("/")
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in request.headers.items()
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "root_path": root,
        "query_string": request.META.get("QUERY_STRING", "").encode("latin-1"),
        "headers": headers,
        "client": None,
        "server": None,
        "wsgi_environ": request.META,  # a whole answer at a time: no streams
        _ACCESS: access,
    }


async def _answer(site: Any, scope: dict[str, Any], body: bytes) -> HttpResponse:
    asked = [{"type": "http.request", "body": body, "more_body": False}]
    start: dict[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return asked.pop() if asked else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    await site(scope, receive, send)
    answer = HttpResponse(b"".join(parts), status=start["status"])
    for name, value in start["headers"]:
        answer[name.decode("latin-1")] = value.decode("latin-1")
    return answer


urlpatterns: Final = urls()
