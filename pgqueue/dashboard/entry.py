"""How `pgqueue dashboard` lets people in: a link that works once, or a name and a password."""

from __future__ import annotations

import base64
import binascii
import secrets
from hmac import compare_digest
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pgqueue.dashboard.access import Access

COOKIE: Final = "pgqueue_dashboard"


class OneTimeLink:
    """A link that lets one browser in: by a cookie that no script reads and no other site sends.

    *user*: what actions are logged as.
    """

    def __init__(self, user: str) -> None:
        self._user = user
        self._token: str | None = secrets.token_urlsafe(24)
        self._session = secrets.token_urlsafe(32)

    @property
    def path(self) -> str:
        """The link's path, with the token."""
        return f"/enter?token={self._token}"

    def authorize(self, request: Request) -> Access | None:
        """Return everything to whoever has the cookie."""
        given = request.cookies.get(COOKIE, "")
        return Access(self._user) if compare_digest(given, self._session) else None

    def guard(self, site: ASGIApp) -> ASGIApp:
        """Return *site* with the page that the link leads to."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            root = scope.get("root_path", "")
            if scope["type"] == "http" and scope["path"] == f"{root}/enter":
                await self._enter(Request(scope))(scope, receive, send)
            else:
                await site(scope, receive, send)

        return guarded

    def _enter(self, request: Request) -> Response:
        given = request.query_params.get("token", "")
        if self.authorize(request) is None:
            if self._token is None or not compare_digest(given.encode(), self._token.encode()):
                words = "This link has been used, or is not right; start `pgqueue dashboard` again."
                return PlainTextResponse(words + "\n", 403)
            self._token = None
        answer = RedirectResponse(f"{request.scope.get('root_path', '')}/", 303)
        answer.set_cookie(COOKIE, self._session, httponly=True, samesite="strict")
        return answer


class Password:
    """HTTP's basic authentication, for a dashboard behind TLS."""

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._expected = f"{user}:{password}".encode()

    def authorize(self, request: Request) -> Access | None:
        """Return everything to whoever gives name and password."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            said = base64.b64decode(given, validate=True) if scheme.lower() == "basic" else b""
        except binascii.Error:
            return None
        return Access(self._user) if compare_digest(said, self._expected) else None

    def guard(self, site: ASGIApp) -> ASGIApp:
        """Return *site*, which asks browsers for name and password first."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and self.authorize(Request(scope)) is None:
                ask = {"www-authenticate": 'Basic realm="pgqueue", charset="UTF-8"'}
                await PlainTextResponse("Who are you?\n", 401, ask)(scope, receive, send)
            else:
                await site(scope, receive, send)

        return guarded
