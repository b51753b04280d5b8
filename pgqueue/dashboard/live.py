"""Server-sent events that say when a page is no longer what it was.

A stream ends by itself after some seconds, and the browser asks again: so neither a server that
shuts down nor one that loads anew waits for it. Where each request holds a thread, as below WSGI,
there is none, and the page is asked for every two seconds instead.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pgqueue.dashboard.pages import NoSuchPage
from pgqueue.dashboard.site import FRESH_SECONDS, Dashboard, Show, refused
from pgqueue.errors import PgqueueError

STREAM_SECONDS: Final = 15.0
STREAMS: Final = 3
"""So many streams a viewer has: a browser keeps six connections to a host."""
AGAIN: Final = "retry: 500\n\n"
NOW: Final = "data: now\n\n"
STILL: Final = ": \n\n"


async def live(site: Dashboard, request: Request, verb: str, template: str, view: Show) -> Response:
    """Answer a stream about one page; 204, which ends the asking, where none can be had."""
    access = await site.access(request, verb)
    if access is None or "see" not in access.may:
        return refused()
    if "wsgi_environ" in request.scope or site.streams[access.user] >= STREAMS:
        return Response(status_code=204)

    async def look() -> Any:
        try:
            page, age = await site.look(request, access, template, view)
        except (NoSuchPage, PgqueueError, TimeoutError) as error:
            return str(error)
        return msgspec.json.encode(page), age > 1

    async def events() -> AsyncIterator[str]:
        site.streams[access.user] += 1
        try:
            yield AGAIN + NOW  # something may have changed before anybody listened
            seen = await look()
            until = time.monotonic() + STREAM_SECONDS
            while time.monotonic() < until:
                await asyncio.sleep(FRESH_SECONDS)
                before, seen = seen, await look()
                yield NOW if seen != before else STILL
        finally:
            site.streams -= Counter([access.user])  # drops what comes to nothing

    return StreamingResponse(events(), media_type="text/event-stream")
