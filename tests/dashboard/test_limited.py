"""What a viewer of some queues is shown: nothing that names or counts what is in the others."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis

from pgqueue import App, NewJob, operations, workflow
from pgqueue.dashboard import Access
from pgqueue.dashboard.routes import routes
from pgqueue.dashboard.site import Dashboard
from pgqueue.jobs.tally import Series
from pgqueue.jobs.unique import Conflict, Merge, Unique
from pgqueue.operations import inspections
from pgqueue.operations.auditing import audit
from pgqueue.operations.tallying import MINUTE, TallyRow, minute_of, tally
from pgqueue.views.bridges import BridgeState, info_of
from tests.dashboard.conftest import client
from tests.dashboard.test_bridges import NOW
from tests.dashboard.test_pages import JSON

FIRST = 700_000_000
"""Ids of jobs begin here: no other number is like them."""
BOB = Access("bob", queues=("mail*",))
TIMELY = ("at", "why", "last_minute", "chart", "sent")
QUERIES = {
    "/": ["?period=days"],
    "/jobs": [
        "?state=discarded",
        "?state=scheduled",
        "?queue=vault",
        "?state=available&queue=mail",
    ],
    "/enqueue": ["?task=vault_open", "?task=send"],
}


@pytest.fixture
def app(url: str, namespace: str) -> Iterator[App]:
    """Jobs of the queue *mail*, which bob sees, among others of *vault*, which he does not."""
    name = "pgqueue" if url.startswith(("postgres", "sqlite")) else namespace
    app = App(url, schema=name, name="shop")
    number_from(app, FIRST)
    fill(app)
    yield app
    app.close()


def number_from(app: App, first: int) -> None:
    """Give the next job the number after *first*."""
    if app.backend.store == "postgres":
        with psycopg.connect(app.url, autocommit=True) as server:
            server.execute("SELECT setval('pgqueue.job_id', %s)", (first,))
    elif app.backend.store == "sqlite":
        with sqlite3.connect(app.url.removeprefix("sqlite:///")) as file:
            file.execute("UPDATE pgqueue_sequence SET value = ? WHERE name = 'job'", (first,))
        file.close()
    else:
        app.enqueue(NewJob("send", queue="mail", max_attempts=1))
        with redis.Redis.from_url(app.url, decode_responses=True) as valkey:
            [counter] = [key for key in valkey.keys("*:id") if app.schema in key]
            valkey.set(counter, first)


def fill(app: App) -> None:
    """Something of everything, in both queues."""

    @app.task(queue="mail")
    async def send(order: int) -> None:
        if order == 1:
            raise ValueError("no address")

    @app.task(queue="vault")
    async def vault_open(order: int) -> str:
        if order == 1:
            raise LookupError("the vault is shut")
        return "vault"

    @app.task(queue="vault", schedule="every day at 7:00")
    async def vault_count() -> None: ...

    @app.task(queue="mail", schedule="every day at 8:00")
    async def wake() -> None: ...

    @app.task(queue="mail", unique=Unique(key="only"))
    async def once() -> None: ...

    @app.task(queue="mail", unique=Unique(key="only", conflict="raise"))
    async def refused() -> None: ...

    app.queue("vault", concurrency=5)
    app.queue("mail", concurrency=7)
    mine(app)
    hidden(app)


def mine(app: App) -> None:
    """Jobs of *mail*, some of which have parents and children in *vault*."""
    send, vault_open = (app.tasks[name] for name in ("send", "vault_open"))
    once, lost = send.job(order=1).options(max_attempts=1), vault_open.job(order=1)
    done = vault_open.job(order=2)
    app.enqueue([once, done, send.job(order=4).after(done), vault_open.job(order=3).after(once)])
    fails = lost.options(max_attempts=1)
    app.enqueue([fails, send.job(order=5).after(fails)])
    work(app)
    later = vault_open.job(order=6).options(delay=3600)
    app.enqueue([later, send.job(order=7).after(later), send.job(order=8).options(delay=3600)])
    mail = send.job(order=9).options(delay=3600)
    app.enqueue([mail, vault_open.job(order=9).after(mail)])
    for name in ("once", "refused"):
        app.enqueue(app.tasks[name].job().options(queue="vault", delay=3600))
    tell(app, "till", ["mail", "vault"], patterns=["m*", "vault.*"], excluded=["vault.old"])


def work(app: App) -> None:
    asyncio.run(app.run_worker(queues=["mail", "vault"], drain=True))


def hidden(app: App) -> None:
    """Jobs, queues, workers, bridges, figures and notes of *vault* alone."""
    vault_open = app.tasks["vault_open"]
    app.enqueue([vault_open.job(order=1).options(max_attempts=1 + n % 2) for n in range(4)])
    app.enqueue([vault_open.job(order=2) for _ in range(4)])
    work(app)
    app.enqueue([vault_open.job(order=3).options(delay=60 * n) for n in range(3)])
    app.enqueue(workflow("vaults", vault_open.job(order=3), vault_open.job(order=3)))
    app.execute(operations.claim("vault", 1, 1, 1))
    app.execute(operations.pause("vault.gold"))
    tell(app, "vaulter", ["vault", "vault.silver"])
    sent = Series("vault", "vault_open", {"completed": 40})
    app.execute(tally([TallyRow(minute_of(NOW) - 5 * MINUTE, MINUTE, 1, sent)]))
    app.execute(audit("ann", "pause", target="queue vault"))


def tell(app: App, name: str, queues: list[str], **more: Any) -> None:
    """A worker joins, which knows of bridges on both sides."""
    bridges = [BridgeState(name="vault", kind="outlet", place="amqp://vault")]
    if "mail" in queues:
        bridges.append(BridgeState(name="mails", kind="inlet", queue="vault"))
    info = {"concurrency": 3, "tasks": sorted(app.tasks), "inlets": ["vault.in"], **more}
    profile = {"name": name, "host": "h", "pid": 1, "queues": queues, "started_at": NOW}
    app.execute(operations.join({**profile, "info": info | info_of(bridges)}))


def jobs_of(app: App, *queues: str) -> list[int]:
    found = [each for queue in queues for each in app.execute(inspections.list_jobs(queue=queue))]
    return [job.id for job in found]


def gets(app: App) -> list[str]:
    """The path of each page, as the dashboard has routes for them."""
    site = Dashboard(app, lambda _: None, read_only=False, name="", colour="indigo")
    return [route.path for route in routes(site) if "GET" in (route.methods or ())]


def addresses(app: App, ids: list[int]) -> list[str]:
    """Every page that bob may ask for, about what is his."""
    names = {"queues": ["mail"], "tasks": ["send", "vault_open"], "schedules": ["wake"]}
    found = []
    for path in gets(app):
        room = path.removeprefix("/live").split("/")[1]
        if "{id:int}" in path:
            found += [path.replace("{id:int}", str(id)) for id in ids if room == "jobs"]
        elif "{name:path}" in path:
            found += [path.replace("{name:path}", name) for name in names[room]]
        elif not path.startswith(("/live", "/find")):
            found += [path, *(path + query for query in QUERIES.get(path, []))]
    return [each for each in found if not each.startswith("/live")]


def test_no_page_names_what_a_viewer_may_not_see(app: App) -> None:
    own, others = jobs_of(app, "mail"), jobs_of(app, "vault")
    assert min(own) >= FIRST or app.backend.store == "redis"
    assert len(own) >= 5
    assert len(others) >= 15
    names = re.compile("|".join(["vault", *map(str, others)]))
    told = []
    with client(app, BOB) as some:
        for address in addresses(app, own):
            for headers in (JSON, {}):
                answer = some.get(address, headers=headers)
                assert answer.status_code == 200, address
                text = answer.text.replace(address.replace("&", "&amp;"), "")
                told += [
                    (address, text[max(0, hit.start() - 60) : hit.end() + 20])
                    for hit in names.finditer(text)
                    if not asked_for(address, text, hit)
                ]
    assert "\n".join(map(str, told)) == ""


def asked_for(address: str, text: str, hit: re.Match[str]) -> bool:
    """Whether the page only repeats what its own address says, as a title or in a filter."""
    said = re.compile(r"vault_open|queue vault|vault\b(?=\")")
    return any(m.start() <= hit.start() < m.end() for m in said.finditer(text)) and (
        hit[0] in address
    )


def test_nothing_that_happens_elsewhere_changes_a_page(app: App) -> None:
    own = jobs_of(app, "mail")

    def pages() -> dict[str, Any]:
        with client(app, BOB) as some:
            return {
                f"{address} {place}": value
                for address in addresses(app, own)
                for place, value in leaves(some.get(address, headers=JSON).json())
            }

    before = pages()
    hidden(app)
    after = pages()

    changed = [at for at in before | after if before.get(at) != after.get(at)]
    assert [(at, before.get(at), after.get(at)) for at in changed] == []


def leaves(page: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Each value in *page*, with its place, but for those that change by themselves in time."""
    if isinstance(page, dict):
        for name, value in page.items():
            if name not in TIMELY and not name.endswith(("_at", "_seconds")):
                yield from leaves(value, f"{place}.{name}")
    elif isinstance(page, list):
        for n, value in enumerate(page):
            yield from leaves(value, f"{place}[{n}]")
    else:
        yield place, page


def test_what_ended_in_the_last_minute_is_counted_of_the_queues_that_are_seen(app: App) -> None:
    def ended() -> dict[str, int]:
        with client(app, BOB) as some:
            found = some.get("/", headers=JSON).json()["status"]["last_minute"]
        return {state: each["count"] for state, each in found.items()}

    minutes = [minute_of(NOW) + n * MINUTE for n in range(-1, 30)]  # of which one is the last
    rows = [Series("mail.x", "send", {"completed": 20_000}), Series("vault", "x", {"completed": 7})]
    for worker, row in enumerate(rows):
        app.execute(tally([TallyRow(at, MINUTE, worker + 50, row) for at in minutes]))

    assert 20_000 <= ended()["completed"] <= 20_002  # and those that a worker has counted


def test_what_may_not_be_seen_is_as_if_it_were_not_there(app: App) -> None:
    [firing] = [name for name in app.declared if "vault" in name]
    others = jobs_of(app, "vault")
    with client(app, BOB) as some:
        for path, there, absent in [
            ("/queues/{}", "vault", "nowhere"),
            ("/jobs/{}", others[0], FIRST + 999),
            ("/jobs/{}/edit", others[0], FIRST + 999),
            ("/jobs?queue={}", "vault", "nowhere"),
            ("/failures?discarded={}", others[0], FIRST + 999),
            ("/schedules/{}", firing, "nowhere"),
            ("/workflows/{}", 1, 2),
            ("/workflows/{}.svg", 1, 2),
            ("/bulk/{}", 1, 2),
        ]:
            one, other = (some.get(path.format(each), headers=JSON) for each in (there, absent))
            assert one.status_code == other.status_code, path
            assert one.text.replace(str(there), str(absent)) == other.text, path


def test_no_answer_to_a_post_names_what_a_viewer_may_not_see(app: App) -> None:
    [firing] = [name for name in app.declared if "vault" in name]
    stranger = next(w for w in app.execute(inspections.workers()) if w.name == "vaulter")
    other = jobs_of(app, "vault")[0]
    with client(app, BOB) as some:

        def said(path: str, **form: object) -> str:
            data = {name: str(value) for name, value in form.items()}
            return some.post(path, data=data, headers=JSON).text

        for path, there, absent in [
            ("/schedules/run", {"name": firing}, {"name": "nowhere"}),
            ("/schedules/pause", {"name": firing}, {"name": "nowhere"}),
            ("/workers/stop", {"worker": stranger.id}, {"worker": 12345}),
            ("/retry", {"id": other}, {"id": FIRST + 999}),
            ("/cancel", {"id": other}, {"id": FIRST + 999}),
            ("/pause", {"queue": "vault"}, {"queue": "nowhere"}),
            ("/enqueue", {"retried_from": other}, {"retried_from": FIRST + 999}),
        ]:
            one, two = said(path, **there), said(path, **absent)
            for mine, theirs in zip(there.values(), absent.values(), strict=True):
                one = one.replace(str(mine), str(theirs))
            assert one == two, path
        form = {"task": "vault_open", "given.order": 1}
        assert "vault" not in said("/enqueue", **form).replace("vault_open", "")
        for task in ("once", "refused"):
            held = said("/enqueue", task=task)
            assert "of another queue has this unique key" in held, held
            assert not re.search("|".join(map(str, jobs_of(app, "vault"))), held)


@pytest.mark.parametrize("conflict", ["return", "raise", "replace", Merge("ns")])
def test_a_form_changes_no_job_that_holds_the_key(app: App, conflict: Conflict) -> None:
    @app.task(queue="mail", unique=Unique(key="one", until="started", conflict=conflict))
    async def many(ns: list[str]) -> None: ...

    job = app.enqueue(many.job(["secret"]).options(queue="vault", delay=3600))
    with client(app, BOB) as some:
        form = {"task": "many", "given.ns": '["mine"]', "queue": "mail"}
        answer = some.post("/enqueue", data=form, headers=JSON)

    assert "a job of another queue has this unique key" in answer.text
    assert str(job.id) not in answer.text
    held = app.execute(inspections.get([job.id]))[job.id]
    assert (held.queue, held.args, held.state) == ("vault", {"ns": ["secret"]}, "scheduled")


def test_arguments_too_large_to_merge_name_no_job_of_another_queue(app: App) -> None:
    rule = Unique(key="one", until="started", conflict=Merge("ns"))
    half = "x" * 600_000

    @app.task(queue="mail", unique=rule)
    async def many(ns: list[str]) -> None: ...

    job = app.enqueue(many.job([half]).options(queue="vault", delay=3600))
    with client(app, BOB) as some:
        form = {"task": "many", "given.ns": f'["{half}"]', "queue": "mail"}
        answer = some.post("/enqueue", data=form, headers=JSON)

    assert "of another queue has this unique key" in answer.text
    assert str(job.id) not in answer.text


def test_the_link_to_more_schedules_names_the_last_that_is_seen(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def idle() -> None: ...

    for name, queue in [("wake2", "mail"), ("wake3", "vault"), ("wake4", "mail")]:
        app.task(name=name, queue=queue, schedule="every day at 8:00")(idle)
    work(app)
    monkeypatch.setattr("pgqueue.dashboard.pages.schedules.PAGE_SCHEDULES", 2)

    def page(address: str) -> tuple[list[str], str | None]:
        told = some.get(address, headers=JSON).json()
        return [each["name"] for each in told["schedules"]], told["after"]

    with client(app, BOB) as some:  # two are read at once: vault_count wake, wake2 wake3, wake4
        assert page("/schedules") == (["wake", "wake2"], "wake2")
        assert page("/schedules?after=wake2") == (["wake4"], None)


def test_a_short_list_counts_no_job_of_another_queue(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.dashboard.pages.seeing.STATEMENT", 5)
    monkeypatch.setattr("pgqueue.dashboard.pages.seeing.PORTIONS", 1)
    with client(app, BOB) as some:
        page = some.get("/jobs", headers=JSON).json()
        text = some.get("/jobs").text

    assert (page["jobs"], page["short"], page["looked"]) == ([], True, 0)
    assert "Looked at" not in text
    assert "Look further" in text


def test_a_schedule_names_no_job_that_went_to_another_queue(app: App) -> None:
    with client(app) as anybody, client(app, BOB) as some:
        anybody.post("/schedules/run", data={"name": "wake"})
        [fired] = anybody.get("/schedules/wake", headers=JSON).json()["fired"]
        id = fired["firing"]["job_id"]
        anybody.post("/move", data={"id": id, "to": "vault"})
        told = [some.get("/schedules/wake", headers=headers).text for headers in (JSON, {})]
        again = some.post("/schedules/run", data={"name": "wake"}, headers=JSON).text

    assert id in jobs_of(app, "vault")
    assert [str(id) in text for text in (*told, again)] == [False, False, False]


def test_a_queue_is_served_by_who_has_a_pattern_for_it(app: App) -> None:
    app.execute(operations.pause("mail.later"))
    tell(app, "all", [], patterns=["*"], excluded=["mail.now"])
    app.execute(operations.pause("mail.now"))
    with client(app, BOB) as some:

        def serving(queue: str) -> list[str]:
            page = some.get(f"/queues/{queue}", headers=JSON).json()
            return sorted(worker["name"] for worker in page["workers"])

        assert serving("mail.later") == ["all", "till"]
        assert serving("mail.now") == ["till"]
        assert serving("mail") == ["all", "till"]
