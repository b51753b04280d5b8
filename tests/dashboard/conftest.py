"""An application on each store, with jobs in every state, and its dashboard."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pgqueue import App, Context, group, migrations, workflow
from pgqueue.dashboard import Access, dashboard
from pgqueue.operations.operation import Operation, nothing
from tests.valkey import Valkey

HOSTILE = "<script>document.title='owned'</script>\"'><img src=x onerror=alert(1)>\u202egnp"
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is read in this process may take long: the machine may have other work."""
    monkeypatch.setattr("pgqueue.dashboard.site.READ_SECONDS", 60.0)
    reading = Operation("session/reading", {"milliseconds": "60000"}, nothing)
    monkeypatch.setattr("pgqueue.dashboard.site._READING", reading)


@pytest.fixture(params=["postgres", "sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    if request.param == "sqlite":
        migrations.migrate(found := f"sqlite:///{tmp_path}/jobs.db")
        return found
    valkey: Valkey = request.getfixturevalue("valkey_server")
    return valkey.url


@pytest.fixture
def app(url: str, namespace: str) -> Iterator[App]:
    """Jobs of every kind, as far as one worker brings them before it stops."""
    app = App(
        url, schema="pgqueue" if url.startswith(("postgres", "sqlite")) else namespace, name="shop"
    )
    fill(app)
    yield app
    app.close()


@pytest.fixture
def site(app: App) -> Iterator[TestClient]:
    """The dashboard of somebody who may do everything."""
    with client(app) as found:
        yield found


def client(app: App, access: Access | None = None, **options: Any) -> TestClient:
    """A client whose requests come from the site itself, as *access*."""
    answer = access or Access("ann")
    made = dashboard(app, authorize=lambda _: answer, **options)
    return TestClient(made, headers={"sec-fetch-site": "same-origin"}, follow_redirects=False)


def fill(app: App) -> None:
    """Enqueues and runs: 1 is completed, 2 discarded, 3 retryable, 4 scheduled, 5 blocked …"""

    @app.task
    async def send(ctx: Context, order: int, password: str = SECRET, note: str = "") -> str:
        ctx.progress(0.5, "half way")
        if order == 2:
            raise ValueError(f"no address for order {order}: {note}")
        if order == 3:
            raise ConnectionError(f"mail server {order} is away")
        return f"https://ann:{SECRET}@example.com/{order}"

    jobs = [
        send.job(1, password=SECRET),
        send.job(2, note=HOSTILE).options(max_attempts=1),
        send.job(3),
    ]
    later = send.job(4).options(delay=3600, tags=["later"])

    @app.task(schedule="every weekday at 9:00", zone="Europe/Berlin", queue="mail")
    async def digest() -> None: ...

    app.queue("api", concurrency=5, key_concurrency=1)
    app.enqueue([*jobs, later, send.job(5).after(later)])
    app.enqueue(workflow("import", group(send.job(n) for n in (6, 7)).then(send.job(8))))
    with ThreadPoolExecutor(1) as thread:  # the browser's driver has an event loop in this one
        thread.submit(lambda: asyncio.run(app.run_worker(drain=True))).result()
    app.enqueue(send.job(9).options(queue="mail", key="tenant-7"))
