"""In other applications, below their paths and behind proxies: the same site, and all its links."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
from a2wsgi import ASGIMiddleware
from fastapi import FastAPI
from litestar import Litestar
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from pgqueue import App, NewJob
from pgqueue.contrib.litestar import PgqueuePlugin
from pgqueue.dashboard import allow_all, dashboard
from pgqueue.dashboard.proxies import TrustedProxies
from tests.dashboard.conftest import client

OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture(params=["sqlite"])
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def app(url: str) -> Iterator[App]:
    app = App(url)
    app.enqueue(NewJob("send", queue="mail"))
    yield app
    app.close()


def foreign_links(page: str, prefix: str) -> list[str]:
    links = re.findall(r'(?:href|src|action|data-live)="([^"]+)"', page)
    assert len(links) > 12
    return [link for link in links if not link.startswith((f"{prefix}/", "#"))]


@pytest.mark.parametrize("host", ["starlette", "fastapi", "litestar"])
def test_below_a_prefix_every_link_keeps_it(app: App, host: str) -> None:
    site = client(app).app
    whole: Any
    if host == "starlette":
        whole = Starlette(routes=[Mount("/queue", site)])
    elif host == "litestar":
        plugin = PgqueuePlugin(app, dashboard="/queue", authorize=allow_all)
        whole = Litestar(plugins=[plugin])
    else:
        whole = FastAPI()
        whole.mount("/queue", site)
    below = TestClient(whole, headers=OWN, follow_redirects=False)

    for page in ("/queue/", "/queue/jobs", "/queue/queues/mail", "/queue/limits"):
        answer = below.get(page)
        assert answer.status_code == 200
        assert foreign_links(answer.text, "/queue") == []
    assert below.get("/queue/static/style.css").status_code == 200
    done = below.post("/queue/pause", data={"queue": "mail", "back": "/queue/queues/mail?a=1"})
    assert done.headers["location"] == "/queue/queues/mail?a=1&done=paused+mail"
    outside = below.post("/queue/pause", data={"queue": "mail", "back": "/other"})
    assert outside.headers["location"].startswith("/queue/?done=")


def test_in_litestar_it_is_closed_without_somebody_who_authorizes(app: App) -> None:
    with pytest.raises(TypeError, match="authorize"):
        PgqueuePlugin(app, dashboard="/queue")
    plugin = PgqueuePlugin(app, dashboard="/queue", authorize=lambda _: None)
    assert TestClient(Litestar(plugins=[plugin])).get("/queue/jobs").status_code == 403


@pytest.mark.parametrize("keeps", [True, False], ids=["keeps", "strips"])
def test_behind_a_proxy_that_is_trusted_links_have_its_prefix(app: App, keeps: bool) -> None:
    site = dashboard(app, authorize=allow_all, hosts=["ops.example"])
    said = {"x-forwarded-prefix": "/ops/queue", "x-forwarded-host": "ops.example"}
    path = "/ops/queue/jobs" if keeps else "/jobs"
    known = TestClient(TrustedProxies(site, ["testclient"]), headers=said)
    unknown = TestClient(TrustedProxies(site, ["10.0.0.1"]), headers=said)

    assert foreign_links(known.get(path).text, "/ops/queue") == []
    origin = {"origin": "https://ops.example"}
    posted = known.post(path.replace("jobs", "pause"), data={"queue": "mail"}, headers=origin)
    assert posted.status_code == 200
    assert unknown.get(path).status_code == 421


def test_under_wsgi_it_is_asked_for_and_not_streamed(app: App) -> None:
    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None: ...

    site = ASGIMiddleware(dashboard(app, authorize=allow_all))
    with make_server("127.0.0.1", 0, site, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", headers=OWN) as asks:
            assert foreign_links(asks.get("/jobs").text, "") == []
            assert asks.get("/live/jobs").status_code == 204
            done = asks.post("/pause", data={"queue": "mail", "back": "/queues/mail"})
            assert done.headers["location"] == "/queues/mail?done=paused+mail"
            assert "paused" in asks.get("/queues/mail").text
        server.shutdown()
        thread.join()


def test_in_a_django_project_its_staff_sees_it_by_its_sessions(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.dashboard.django_site", str(tmp_path)]

    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["wsgi"] == {
        "stranger": 302,  # to the admin's own page
        "bob": 403,
        "ann": 200,
        "root": 200,
        "links": [],
        "style": 200,
        "stream": 204,
        "foreign": 403,
        "cancel": "/queue/?done=1+job+cancelled",
        "not hers": 403,
        "hers": "/queue/?done=1+job+will+run+again",
        "host": 400,
    }
    assert told["asgi"] == {"stranger": 302, "root": 200, "cancel": "/queue/?done=1+job+cancelled"}
