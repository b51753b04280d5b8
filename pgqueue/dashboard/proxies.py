"""What a proxy in front says of the address that people see: believed from those that are named."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

_PREFIX: Final = re.compile(r"(/[\w.~-]+)+", re.ASCII)


class TrustedProxies:
    """An ASGI middleware: a request from one of *addresses* is where its proxy says that it is.

    ``X-Forwarded-Prefix`` is the path in front of the site's own, whether the proxy has taken it
    away or not, ``X-Forwarded-Host`` the name that the browser knows. From anybody else, these
    headers say nothing.
    """

    def __init__(self, app: ASGIApp, addresses: Collection[str]) -> None:
        self._app = app
        self._addresses = frozenset(addresses)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if scope["type"] == "http" and client and client[0] in self._addresses:
            scope = _as_seen(scope)
        await self._app(scope, receive, send)


def _as_seen(scope: Scope) -> dict[str, Any]:
    headers = Headers(scope=scope)
    seen = dict(scope)
    prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
    if _PREFIX.fullmatch(prefix):
        path = seen["path"]
        seen["root_path"] = prefix
        seen["path"] = path if f"{path}/".startswith(f"{prefix}/") else prefix + path
    if host := headers.get("x-forwarded-host", "").partition(",")[0].strip():
        others = [pair for pair in scope["headers"] if pair[0] != b"host"]
        seen["headers"] = [*others, (b"host", host.encode("latin-1"))]
    return seen
