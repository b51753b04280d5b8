"""What is answered to a post: first whether it is meant, then what was done."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pgqueue import operations
from pgqueue.backends.plans import carry_out_async, patiently_async
from pgqueue.dashboard.actions import (
    JOB_ACTIONS,
    Action,
    Asked,
    Done,
    act_of,
    in_transaction,
    jobs,
    noted,
)
from pgqueue.dashboard.bulk import Bulk, Bulks
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.site import Dashboard, refused, wants_json
from pgqueue.errors import PgqueueError, StoreBusy, StoreUnavailable
from pgqueue.jobs.filters import Filter
from pgqueue.operations import acting

COUNT_SECONDS: Final = 1.5
TYPED_ABOVE: Final = 1_000
"""Beyond so many jobs, their number has to be typed."""
_log = logging.getLogger(__name__)


class Posts:
    """Carries out what viewers ask for."""

    def __init__(self, site: Dashboard) -> None:
        self._site = site
        self.bulks: Final = Bulks(site.app)

    async def act(self, request: Request, path: str, verb: str, action: Action) -> Response:
        """Carry out one action, or first ask whether it is meant."""
        access = await self._site.access(request, verb)
        if access is None:
            return refused()
        form = Form((await request.form()).multi_items())
        asked = Asked(access, form, self._site.app)
        try:
            if form.text("all") == "yes" and verb in JOB_ACTIONS:
                return await self._to_all(request, asked, path, verb)
            if form.text("sure") != "yes" and len(form.all("id") or form.all("queue")) > 1:
                return self._ask(request, asked, path, verb)
            done = await self._carry_out(verb, action, asked)
        except (PgqueueError, ValueError) as error:
            title = "That could not be done"
            return self._site.message(request, access, title, str(error), 409)
        _log.info("%s: %s", access.user, done.words)
        self._site.forget()
        return self._done(request, form, done)

    async def _carry_out(self, verb: str, action: Action, asked: Asked) -> Done:
        backend = asked.app.backend

        async def carried() -> Done:
            return await in_transaction(asked.app, noted(asked, verb, action))

        done = await patiently_async(carried)
        if backend.wakes_after and done.topics:
            with contextlib.suppress(StoreUnavailable, StoreBusy):  # a hint: the jobs are there
                await backend.execute_async(operations.wake(done.topics))
        return done

    async def _to_all(self, request: Request, asked: Asked, path: str, verb: str) -> Response:
        filter = asked.form.filter()
        if not asked.access.sees_all and (
            filter.queue is None or not asked.access.sees(filter.queue)
        ):
            raise ValueError("choose a queue that you see: not all jobs are yours")
        act = act_of(verb, asked)
        number = await self._number(act, filter)
        typed = asked.form.text("typed").replace(",", "")
        meant = number.jobs <= TYPED_ABOVE or typed == str(number.jobs)
        if asked.form.text("sure") != "yes" or not meant:
            return self._ask(request, asked, path, verb, filter, number)
        bulk = self.bulks.begin(verb, act, filter, number, asked.access)
        return self._done(request, asked.form, Done("begun", f"/bulk/{bulk.id}"))

    async def _number(self, act: acting.Act, filter: Filter) -> acting.Number:
        deadline = time.monotonic() + COUNT_SECONDS
        plan = acting.counting(filter, act.states, until=lambda: time.monotonic() > deadline)
        return await carry_out_async(plan, self._site.app.execute_async)

    def _ask(
        self,
        request: Request,
        asked: Asked,
        path: str,
        verb: str,
        filter: Filter | None = None,
        number: acting.Number | None = None,
    ) -> Response:
        form = asked.form
        named = form.all("id") or form.all("queue")
        if number is not None and filter is not None:
            title = f"{verb.capitalize()} {_many(number)} {filter.words()}?".replace(" ?", "?")
        else:
            kind = "jobs" if form.all("id") else "queues"
            title = f"{verb.capitalize()} these {len(named)} {kind}?"
        meant = {"all", "sure", "typed"} | (set() if filter is None else {"id"})
        # A filter's own queue and state are fields of the same names; all others go on as they are.
        fields = [pair for pair in form.pairs() if pair[0] not in meant]
        return self._site.page(
            request,
            asked.access,
            "sure",
            title=title,
            verb=verb,
            action=path,
            fields=fields,
            named=[] if filter is not None else named,
            everything=filter is not None,
            count=len(named) if number is None else number.jobs,
            typed=number is not None and number.jobs > TYPED_ABOVE,
            back=form.text("back"),
        )

    def _done(self, request: Request, form: Form, done: Done) -> Response:
        if wants_json(request):
            body = {"done": done.words} | ({"page": done.to} if done.to else {})
            return Response(msgspec.json.encode(body), media_type="application/json")
        root = request.scope.get("root_path", "")
        back = f"{root}{done.to}" if done.to else _back(root, form.text("back"))
        path, _, query = back.partition("?")
        said = [pair for pair in parse_qsl(query) if pair[0] != "done"]
        return RedirectResponse(f"{path}?{urlencode([*said, ('done', done.words)])}", 303)

    async def bulk(self, request: Request) -> Response:
        """Answer how far a bulk is."""
        access = await self._site.access(request, "see")
        if access is None:
            return refused()
        bulk = self._bulk(request)
        if bulk is None or not bulk.is_seen_by(access):
            words = "It is not there any more, or runs in another process of this dashboard."
            return self._site.message(request, access, "Not here", words, 404)
        return self._site.answer(request, access, "bulk", bulk.verb.capitalize(), bulk.page())

    async def stop(self, request: Request) -> Response:
        """Stop a bulk after the portion that is under way."""
        access = await self._site.access(request, "see")
        bulk = self._bulk(request)
        if access is None or bulk is None:
            return refused()
        if bulk.verb not in access.may or not bulk.is_seen_by(access):
            return refused()
        if bulk.state == "running":
            bulk.state = "stopped"
        return self._done(request, Form(()), Done("stopped", f"/bulk/{bulk.id}"))

    def _bulk(self, request: Request) -> Bulk | None:
        return self.bulks.get(int(request.path_params["id"]))


def _back(root: str, back: str) -> str:
    """The page that a form was on: below this site, never another one's address."""
    parts = urlsplit(back)
    ours = parts.path.startswith(f"{root}/") and not parts.path.startswith(("//", "/\\"))
    if parts.scheme or parts.netloc or not ours:
        return f"{root}/"
    return urlunsplit(("", "", quote(parts.path, safe="/%:@"), parts.query, ""))


def _many(number: acting.Number) -> str:
    return jobs(number.jobs) if number.exact else f"{number} jobs"
