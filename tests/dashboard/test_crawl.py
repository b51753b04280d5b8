"""Every link of the dashboard is followed as a browser would, in a store full of hostile names."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections import deque
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_plus, urldefrag, urljoin

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from pgqueue import App, NewJob, migrations, operations, workflow
from pgqueue.dashboard import allow_all, dashboard
from pgqueue.jobs.tally import Series
from pgqueue.operations.tallying import MINUTE, TallyRow, minute_of, tally
from pgqueue.views.printable import printable
from tests.dashboard.conftest import HOSTILE
from tests.dashboard.test_bridges import NOW, bridged

PREFIX = "/deep/queue"
HOST = "http://testserver"
ALLOWED = [
    "_/../../../elsewhere",  # a browser goes up, out of the dashboard
    "a//b",
    "a/./b/",
    "live/jobs",
    "jobs/1/edit",
    "x" * 128,
    "a:b",
    "C:/..",
]
ODD = [  # no door lets these in; but what is in a store somebody may have written by hand
    HOSTILE,
    "a?b=c",
    "a#b",
    "100%",
    "%2e%2e/%2F",
    "a b+c&d;e",
    "..\\..\\elsewhere",
    "ü" * 200,
    "\u202egnp.exe",
    "\x1b[31mred",
    "日本\n語",
    '"quoted"',
    "//elsewhere.example/",
    "{{ 7 * 7 }}",
]


@pytest.fixture(params=["sqlite"])
def url(tmp_path: Path) -> str:
    migrations.migrate(found := f"sqlite:///{tmp_path}/jobs.db")
    return found


@pytest.fixture
def hostile(app: App, tmp_path: Path) -> App:
    """Jobs, queues, schedules, workflows, bridges and figures, called by all of the names."""
    jobs: list[NewJob[object]] = []
    for n, name in enumerate(ALLOWED):
        odd = ODD[n % len(ODD)]
        job = NewJob(name, queue=name, key=odd.replace("\x1b", "")[:100], tags=[name])
        jobs += [job, NewJob(name, queue=name, args=json.dumps({odd: [odd]}), max_attempts=1)]
    app.enqueue(jobs)
    app.enqueue(workflow("flow", *(NewJob(name, queue=name) for name in ALLOWED)))
    made = app.enqueue([NewJob("plain", queue="plain", max_attempts=1) for _ in ODD * 3])
    claimed = app.execute(operations.claim("plain", 1, 1, len(ODD)))
    error = '{"type": "Odd", "message": "no"}'
    failed = [operations.Failed(job.id, job.lease, "discard", error=error) for job in claimed]
    app.execute(operations.fail(failed))
    bridged(app)
    names = [*ALLOWED, *ODD]
    rows = [Series(name, name, {"completed": 5}) for name in names]
    app.execute(tally([TallyRow(minute_of(NOW) - MINUTE, MINUTE, 1, row) for row in rows]))
    with sqlite3.connect(tmp_path / "jobs.db") as store:
        for n, name in enumerate(ODD):
            for handle in made[n :: len(ODD)]:
                for table in ("pgqueue_job", "pgqueue_archive"):
                    store.execute(
                        f"UPDATE {table} SET task = ?, queue = ?, key = ?, reason = ? WHERE id = ?",
                        (name, name, name[:128], name, handle.id),
                    )
    store.close()
    return app


class Links(HTMLParser):
    """The addresses that a page leads to, fetches, or posts to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.followed: list[str] = []
        self.named: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None or name not in ("href", "src", "action", "formaction", "data-live"):
                continue
            followed = name in ("href", "src")
            (self.followed if followed else self.named).append(value)


def resolved(page: str, link: str) -> str:
    """Where a browser goes: a backslash is a slash to it, and `..` goes up, also as `%2e%2e`."""
    path, mark, query = urldefrag(link).url.partition("?")
    for dot in ("%2e", "%2E"):
        path = path.replace(dot, ".")
    return urljoin(f"{HOST}{page}", path.replace("\\", "/") + mark + query)


def crawl(site: TestClient, most: int) -> dict[str, int]:
    """The status of each of the first *most* pages, breadth first; no link leads elsewhere."""
    waiting, known, found = deque([f"{PREFIX}/"]), {f"{PREFIX}/"}, {}
    while waiting and len(found) < most:
        page = waiting.popleft()
        answer = site.get(page)
        found[page] = answer.status_code
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        links = Links(answer.text)
        for link in [*links.followed, *links.named]:
            to = resolved(page, link)
            assert to.startswith(f"{HOST}{PREFIX}/"), (page, link)
            if link in links.followed and (path := to.removeprefix(HOST)) not in known:
                known.add(path)
                waiting.append(path)
    return found


def is_about(page: str, names: list[str]) -> bool:
    """Whether the address of *page* has one of *names* in it, as it is shown."""
    address = unquote_plus(page)
    return any(printable(name, lines=True) in address for name in names)


@pytest.fixture
def mounted(hostile: App) -> Iterator[TestClient]:
    whole = Starlette(routes=[Mount(PREFIX, dashboard(hostile, authorize=allow_all))])
    with TestClient(whole, follow_redirects=False) as site:
        yield site


@pytest.mark.parametrize(
    "most",
    [400, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(1_800)])],
)
def test_every_link_leads_to_a_page_of_the_dashboard(
    mounted: TestClient, hostile: App, most: int, caplog: pytest.LogCaptureFixture
) -> None:
    if most > 1_000:
        hostile.enqueue([NewJob(ALLOWED[n % len(ALLOWED)]) for n in range(most // 2)])
    found = crawl(mounted, most)

    assert len(found) == most
    # Of what no door lets in there are jobs, but no filter means it.
    odd = {page: status for page, status in found.items() if not is_about(page, ODD)}
    assert {page: status for page, status in odd.items() if status != 200} == {}
    assert set(found.values()) <= {200, 404}
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_link_leads_to_what_it_is_about(mounted: TestClient) -> None:
    overview = mounted.get(f"{PREFIX}/", headers={"accept": "application/json"}).json()
    names = {queue["name"] for queue in overview["status"]["queues"]}
    assert names >= {*ALLOWED, *ODD}

    links = {resolved(PREFIX, link) for link in Links(mounted.get(f"{PREFIX}/").text).followed}
    led = set()
    for link in links:
        if link.startswith(f"{HOST}{PREFIX}/queues/"):
            answer = mounted.get(link, headers={"accept": "application/json"})
            assert answer.status_code in (200, 404), link
            if answer.status_code == 200:
                led.add(answer.json()["queue"]["name"])
    assert led >= {*ALLOWED}
