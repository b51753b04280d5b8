"""What the routes share: the store, who may do what, and how a page is read, answered and kept."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from pgqueue.app import App
from pgqueue.backends.plans import carry_out_async
from pgqueue.backends.refusals import explained
from pgqueue.dashboard import pages
from pgqueue.dashboard.access import READING, Access, Authorize
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.html import plain, quoted, render
from pgqueue.dashboard.redaction import redacted
from pgqueue.errors import PgqueueError, StatementTimeout, StoreBusy, StoreUnavailable
from pgqueue.operations.auditing import audit
from pgqueue.operations.operation import Operation, nothing
from pgqueue.statements.files import names

READ_SECONDS: Final = 2.0
"""The longest time for a page's operations; after it, the last answer is shown, with its age."""
FRESH_SECONDS: Final = 2.0
"""For so long one answer serves all who look at the same page."""
READERS: Final = 2
"""So many pages are read from the store at once."""
_READING: Final = Operation(
    "session/reading", {"milliseconds": str(round(READ_SECONDS * 1000))}, nothing
)
_log = logging.getLogger(__name__)

Show: TypeAlias = Callable[..., pages.View]


@dataclass(frozen=True, slots=True)
class Kept:
    """A page that was read, and when."""

    page: pages.Page
    at: float


class Dashboard:
    """A store that is shown, and to whom."""

    def __init__(
        self, app: App, authorize: Authorize, *, read_only: bool, name: str, colour: str
    ) -> None:
        self.app = app
        self._authorize = authorize
        self._read_only = read_only
        self.name = name
        self.colour = colour
        self._kept: dict[object, Kept] = {}
        self._reading: dict[object, asyncio.Lock] = {}
        self._readers = asyncio.Semaphore(READERS)
        self.streams: Counter[str] = Counter()
        """How many streams each viewer has."""

    async def access(self, request: Request, verb: str) -> Access | None:
        """Return what the viewer may, if *verb* is among it."""
        found = self._authorize(request)
        access = await found if inspect.isawaitable(found) else found
        if access is not None and self._read_only:
            access = access.only(READING)
        return access if access is not None and verb in access.may else None

    async def read(self, key: object, view: pages.View) -> tuple[pages.Page, float]:
        """Return what *view* reads and its age in seconds; one read serves all who ask meanwhile.

        Raises NoSuchPage; TimeoutError, StoreUnavailable and StoreBusy where there is no earlier
        answer.
        """
        lock = self._reading.setdefault(key, asyncio.Lock())
        async with lock:
            kept = self._kept.get(key)
            if kept is not None and time.monotonic() - kept.at < FRESH_SECONDS:
                return kept.page, 0.0
            try:
                async with asyncio.timeout(READ_SECONDS), self._readers:
                    page = await self._carry_out(view)
            except (TimeoutError, StoreUnavailable, StoreBusy):
                if kept is None:
                    raise
                return kept.page, time.monotonic() - kept.at
            finally:
                view.close()
                self._forget_others(key)
            self._kept[key] = Kept(page, time.monotonic())
            return page, 0.0

    async def _carry_out(self, view: pages.View) -> pages.Page:
        """Carry out *view*: where the store has such, in one transaction that may only read."""
        backend = self.app.backend
        with explained(backend):
            if _READING.name not in self.statements:
                return await carry_out_async(view, backend.execute_async)
            async with backend.transaction_async() as executor:
                await executor.execute(_READING)
                return await carry_out_async(view, executor.execute)

    @cached_property
    def statements(self) -> frozenset[str]:
        """The names of the statements that the store has."""
        return names(self.app.backend.store)

    def forget(self) -> None:
        """Read everything anew: somebody has changed something."""
        self._kept.clear()

    def _forget_others(self, key: object) -> None:
        """Drop what nobody has asked for lately."""
        if len(self._reading) > 200:  # also of pages that are not there, which nothing is kept of
            self._kept = {k: v for k, v in self._kept.items() if k == key}
            self._reading = {k: v for k, v in self._reading.items() if k == key or v.locked()}

    async def look(
        self, request: Request, access: Access, template: str, view: Show
    ) -> tuple[pages.Page, float]:
        """Read the page that *request* is about, as this viewer sees it; raises as `read`."""
        query = Form(request.query_params.multi_items())
        arguments = dict(request.path_params)
        said = sorted(pair for pair in query.pairs() if pair[0] not in ("done", "reveal"))
        key = (template, access.queues, *said, *arguments.items())
        return await self.read(key, view(access, query, **arguments))

    async def show(
        self, request: Request, verb: str, title: str, template: str, view: Show
    ) -> Response:
        """Answer a page as HTML, or as JSON to who accepts that."""
        access = await self.access(request, verb)
        if access is None or "see" not in access.may:
            return refused()
        try:
            page, age = await self.look(request, access, template, view)
            if _reveals(request, access):
                await self._note_revealing(request, access)
        except pages.NoSuchPage as error:
            return self.message(request, access, "Not here", str(error), 404)
        except (TimeoutError, StatementTimeout):
            words = f"The store did not answer within {READ_SECONDS:g} seconds."
            return self.message(request, access, "Slow", words, 503)
        except PgqueueError as error:
            return self.message(request, access, "The store cannot be read", str(error), 503)
        return self.answer(request, access, template, title, page, age=age)

    async def _note_revealing(self, request: Request, access: Access) -> None:
        """Note in the audit that secrets are shown; if that fails, they are not shown."""
        id = request.path_params.get("id")
        target = f"job {id}" if id and "/jobs/" in request.url.path else request.url.path
        await self.app.execute_async(audit(access.user, "reveal", target=target))
        _log.warning("%s revealed %s", access.user, request.url.path)

    def answer(
        self,
        request: Request,
        access: Access,
        template: str,
        title: str,
        page: pages.Page,
        *,
        age: float = 0.0,
    ) -> Response:
        """Answer *page*, with what looks like a secret hidden, unless it is to be revealed."""
        document = msgspec.to_builtins(page)
        if not _reveals(request, access):
            document = redacted(document)
        if wants_json(request):
            return Response(msgspec.json.encode(document), media_type="application/json")
        return self.page(
            request,
            access,
            template,
            title=title,
            page=plain(document),
            age=age,
            query=dict(request.query_params),
        )

    def page(
        self, request: Request, access: Access, template: str, status: int = 200, **context: Any
    ) -> Response:
        """Answer HTML that is made of *template* and *context*."""
        root = request.scope.get("root_path", "")
        said = request.query_params.multi_items()
        query = urlencode([pair for pair in said if pair[0] not in ("done", "reveal")])
        path: str = request.scope["path"]  # an URL's ends at a "?", which a name may hold
        place = f"{root}{quoted(path[len(root) :])}"
        common: Mapping[str, Any] = {
            "root": root,
            "path": path,
            "here": f"{place}?{query}" if query else place,
            "access": access,
            "name": self.name,
            "colour": self.colour,
            "done": request.query_params.get("done", "")[:200],
        }
        return HTMLResponse(render(template, {**common, **context}), status)

    def message(
        self, request: Request, access: Access, title: str, words: str, status: int
    ) -> Response:
        """Answer a sentence."""
        if wants_json(request):
            body = msgspec.json.encode({"error": words})
            return Response(body, status, media_type="application/json")
        return self.page(request, access, "message", status, title=title, words=words)


def _reveals(request: Request, access: Access) -> bool:
    return "reveal" in access.may and request.query_params.get("reveal") == "yes"


def wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def refused() -> Response:
    """Answer that this viewer may not."""
    return PlainTextResponse("You may not see or do this here.\n", 403)
