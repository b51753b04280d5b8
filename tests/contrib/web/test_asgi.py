"""Where a worker runs beside an ASGI application: FastAPI, Starlette, Litestar, by their own
lifespans."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from litestar import Litestar, get
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient as StarletteClient

from pgqueue import App
from pgqueue.contrib import fastapi as ours
from pgqueue.contrib.hosting import hosted, target_of
from pgqueue.contrib.litestar import PgqueuePlugin
from pgqueue.contrib.starlette import lifespan
from pgqueue.errors import InvalidTask, PgqueueError, ResultTimeout
from tests.contrib.web.shop import queue as shop_queue
from tests.contrib.web.shop import where

SECONDS = 60


async def ask() -> Any:
    job = await shop_queue.enqueue_async(where.job())
    try:
        return await shop_queue.result_async(job, timeout=SECONDS)
    except ResultTimeout:
        return []


def in_fastapi(**options: Any) -> TestClient:
    web = FastAPI()
    web.include_router(ours.router(shop_queue, **options), prefix="/ops")
    web.get("/")(ask)
    return TestClient(web)


def in_starlette(**options: Any) -> StarletteClient:
    @asynccontextmanager
    async def mine(_: Starlette) -> AsyncIterator[dict[str, str]]:
        yield {"mine": "is within"}

    async def root(request: Any) -> JSONResponse:
        assert request.state.mine == "is within"
        return JSONResponse(await ask())

    span = lifespan(shop_queue, then=mine, **options)
    return StarletteClient(Starlette(routes=[Route("/", root)], lifespan=span))


def in_litestar(**options: Any) -> Any:
    return LitestarClient(Litestar([get("/")(ask)], plugins=[PgqueuePlugin(shop_queue, **options)]))


ask.__annotations__["return"] = list[int]  # for Litestar, which wants to know it


@pytest.mark.parametrize("client", [in_fastapi, in_starlette, in_litestar])
@pytest.mark.parametrize("worker", ["inside", "child"])
def test_a_worker_runs_where_it_is_said(
    queue: App, client: Callable[..., Any], worker: str
) -> None:
    with client(worker=worker) as opened:
        pid, thread = opened.get("/").json()

    assert (pid == os.getpid()) == (worker == "inside")
    assert thread != threading.get_ident()


def test_unless_it_is_said_there_is_none(queue: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.contrib.web.test_asgi.SECONDS", 0.01)
    with in_fastapi() as client:
        assert client.get("/").json() == []


async def test_a_child_that_is_killed_is_started_again_and_ends_with_us(queue: App) -> None:
    async with hosted(queue, "child"):
        first, _ = await ask()
        os.kill(first, signal.SIGKILL)
        second, _ = await ask()

    assert first != second
    for pid in (first, second):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_what_keeps_a_worker_from_starting_keeps_the_application(queue: App) -> None:
    app = App(queue.url)

    @app.task(executor="process")
    def of_no_module() -> None: ...

    with pytest.raises(InvalidTask, match="of_no_module"):
        async with hosted(app, "inside"):
            raise AssertionError("it has started")


def test_what_cannot_be_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="external"):
        lifespan(shop_queue, worker="outside")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="concurrency: an external worker"):
        ours.router(shop_queue, concurrency=3)
    with pytest.raises(TypeError, match="colour"):
        PgqueuePlugin(shop_queue, worker="inside", colour="red")
    with pytest.raises(PgqueueError, match="variable of a module"):
        target_of(App())
    assert target_of(shop_queue) == "tests.contrib.web.shop:queue"


def test_the_dashboard_is_behind_fastapis_dependencies(queue: App) -> None:
    def only_staff(staff: str = "") -> None:
        if staff != "ann":
            raise HTTPException(403)

    queue.enqueue(where.job())
    with pytest.raises(TypeError, match="dependencies or authorize"):
        in_fastapi(dashboard="/queue")
    with in_fastapi(dashboard="/queue", dependencies=[Depends(only_staff)]) as client:
        assert client.get("/ops/queue/").status_code == 403
        assert client.post("/ops/queue/jobs/1/cancel").status_code == 403
        page = client.get("/ops/queue", params={"staff": "ann"})
        assert (page.status_code, "default" in page.text) == (200, True)
        assert 'href="/ops/queue/static/style.css' in page.text
        job = client.get("/ops/queue/jobs/1", params={"staff": "ann"})
        assert (job.status_code, "where" in job.text) == (200, True)
        assert client.get("/ops/queue/static/style.css", params={"staff": "ann"}).status_code == 200


async def test_an_endpoint_waits_for_a_result_or_answers_202(queue: App) -> None:
    web = FastAPI()

    @web.get("/")
    async def endpoint(timeout: float) -> Any:
        job = await queue.enqueue_async(where.job())
        try:
            return await queue.result_async(job, timeout=timeout)
        except ResultTimeout:
            return JSONResponse(job.as_dict(), status_code=202)

    transport = httpx.ASGITransport(web)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        late = await client.get("/?timeout=0.01")
        assert (late.status_code, late.json()["id"]) == (202, 1)
        async with hosted(queue, "inside"):
            assert (await client.get("/?timeout=30")).status_code == 200
