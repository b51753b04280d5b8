"""What is refused before any page is asked: foreign hosts, cross-site posts; and the headers.

Without tokens in forms: a browser says where a request comes from, in ``Sec-Fetch-Site``, an older
one in ``Origin``. Under a foreign name (DNS rebinding) the site answers 421.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}


class Safety:
    """An ASGI middleware. *hosts*: names under which the site answers; None: the host's affair."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app = app
        self._hosts = None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answered.setdefault(name, value)
            await send(message)

        if (refusal := self._refusal(scope["method"], headers)) is not None:
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return PlainTextResponse(
                "This dashboard answers under other names; start it with --host.\n", 421
            )
        if method in SAFE_METHODS or is_same_site(headers, host):
            return None
        return PlainTextResponse("This came from another site and was refused.\n", 403)


def is_same_site(headers: Headers, host: str) -> bool:
    """Does a request that changes something come from a page of ours, or from no browser at all?

    A request with a Bearer token comes from a program: no browser adds one by itself.
    """
    if (site := headers.get("sec-fetch-site")) is not None:
        return site in ("same-origin", "none")
    if (origin := headers.get("origin")) is not None:
        return urlsplit(origin).netloc.lower() == host.lower()
    return headers.get("authorization", "").lower().startswith("bearer ")


def _name(host: str) -> str:
    """*host* without its port."""
    return urlsplit(f"//{host}").hostname or "" if host else ""
