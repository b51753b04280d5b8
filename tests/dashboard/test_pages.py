"""Every page on every store: as HTML, and as JSON."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from pgqueue import App, NewJob, operations
from pgqueue.dashboard import Access, allow_all
from pgqueue.dashboard.html import ticked
from pgqueue.dashboard.pages import Page
from pgqueue.dashboard.site import Dashboard
from pgqueue.errors import PgqueueError
from pgqueue.operations import Operation
from tests.conftest import require_valkey
from tests.dashboard.conftest import SECRET, client
from tests.valkey import Valkey

PAGES = [
    "/",
    "/queues/mail",
    "/tasks/send",
    "/tasks/nobody",
    "/jobs",
    "/enqueue",
    "/enqueue?task=send",
    "/failures",
    "/workers",
    "/workflows",
    "/schedules",
    "/schedules/digest",
    "/limits",
    "/bridges",
    "/audit",
    "/system",
]
JSON = {"accept": "application/json"}


def ids(site: TestClient) -> dict[str, int]:
    """A job of each state."""
    return {job["state"]: job["id"] for job in site.get("/jobs", headers=JSON).json()["jobs"]}


def test_each_page_is_whole_html_and_json(site: TestClient) -> None:
    for page in PAGES:
        answer = site.get(page)
        assert answer.status_code == 200, page
        assert answer.text.startswith("<!doctype html>")
        assert answer.text.rstrip().endswith("</html>")
        assert isinstance(site.get(page, headers=JSON).json(), dict)


def test_jobs_of_every_state_have_a_page(site: TestClient) -> None:
    found = ids(site)
    assert {"completed", "discarded", "retryable", "scheduled", "blocked", "available"} <= set(
        found
    )
    for state, id in found.items():
        page = site.get(f"/jobs/{id}")
        assert page.status_code == 200
        assert f"job {id} (send)" in page.text, state


def test_the_overview_counts_queues_and_shows_what_broke(site: TestClient) -> None:
    page = site.get("/", headers=JSON).json()

    queues = {queue["name"]: queue["counts"] for queue in page["status"]["queues"]}
    assert queues["mail"] == {"available": 1}
    assert queues["default"]["scheduled"] == 1
    assert [job["state"] for job in page["broke"]] == ["discarded"]
    assert "nobody serves it" in site.get("/").text


def test_a_list_looks_on_until_its_time_is_over(
    app: App, site: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.dashboard.pages.seeing.STATEMENT", 2)
    monkeypatch.setattr("pgqueue.dashboard.pages.seeing.PORTIONS", 4)

    def looked(patience: float) -> int:
        monkeypatch.setattr("pgqueue.dashboard.pages.seeing.PATIENCE", patience)
        with client(app) as anew:
            page = anew.get("/jobs?task=nobody", headers=JSON).json()
        assert page["older"] is not None
        return int(page["looked"])

    assert looked(60.0) == 8
    assert looked(0.0) == 2


def test_what_nobody_takes_is_said_first_and_never_empty(app: App, site: TestClient) -> None:
    queues = ["default"]
    profile = {"name": "w", "host": "h", "pid": 1, "started_at": datetime.now(UTC), "info": {}}
    app.execute(operations.join({**profile, "queues": queues}))

    page = site.get("/", headers=JSON).json()
    assert page["waiting"] == 1
    assert page["status"]["last_minute"]["completed"]["count"] > 0
    assert page["empty_in_seconds"] is None
    assert "jobs wait, and no worker serves this queue" in site.get("/").text

    app.execute(operations.join({**profile, "queues": ["mail"]}))
    with client(app) as anew:
        assert anew.get("/", headers=JSON).json()["empty_in_seconds"] > 0
        assert "jobs wait, and no worker" not in anew.get("/").text


def test_a_failed_job_shows_its_errors_before_its_arguments(site: TestClient) -> None:
    found = ids(site)
    failed, well = (site.get(f"/jobs/{found[state]}").text for state in ("discarded", "completed"))

    assert 0 < failed.index('id="errors"') < failed.index('id="arguments"')
    assert 'id="errors"' not in well


def test_arguments_that_were_not_read_are_not_shown_as_none(site: TestClient) -> None:
    [flow] = site.get("/workflows", headers=JSON).json()["workflows"]
    found = ids(site)
    parent = site.get(f"/jobs/{found['scheduled']}").text

    assert "<code>{}</code>" not in site.get(f"/workflows/{flow['id']}").text
    assert "<code>{}</code>" not in parent[parent.index('id="children"') :]


def test_what_waits_for_its_parents_is_not_late(app: App, site: TestClient) -> None:
    """A blocked job's time may be long past: it waits for a job, and no worker is to blame."""
    parent = NewJob("send", queue="later", run_at=datetime.now(UTC) + timedelta(hours=1))
    past = datetime.now(UTC) - timedelta(hours=2)
    app.enqueue([parent, NewJob("send", queue="later", run_at=past).after(parent)])

    page = site.get("/queues/later", headers=JSON).json()
    overview = site.get("/", headers=JSON).json()

    assert page["counts"] == {"scheduled": 1, "blocked": 1}
    assert page["oldest_due_seconds"] is None
    [queue] = [each for each in overview["status"]["queues"] if each["name"] == "later"]
    assert queue["oldest_due_seconds"] is None


def test_jobs_are_filtered_by_what_the_form_says(site: TestClient) -> None:
    def states(**filters: str) -> set[str]:
        found = site.get("/jobs", params=filters, headers=JSON).json()["jobs"]
        return {job["state"] for job in found}

    assert states(state="discarded") == {"discarded"}
    assert states(tag="later") == {"scheduled"}
    assert states(queue="mail") == {"available"}
    assert states(task="nobody") == set()
    assert states(key="tenant-7") == {"available"}
    assert states(error="ValueError") == {"discarded"}
    assert states(args="order=4") == {"scheduled"}
    assert states(older_than="1d") == set()
    for nonsense in ("state=nonsense", "args=7", "older_than=soon", "workflow=x", "before=x"):
        assert site.get(f"/jobs?{nonsense}").status_code == 404


def test_a_page_of_one_thing_shows_what_belongs_to_it(site: TestClient) -> None:
    queue = site.get("/queues/mail", headers=JSON).json()
    assert queue["counts"] == {"available": 1}
    assert [job["key"] for job in queue["next"]] == ["tenant-7"]
    assert site.get("/queues/nobody").status_code == 404

    schedule = site.get("/schedules/digest", headers=JSON).json()
    assert schedule["line"]["when"] == "At 09:00 on Monday through Friday, Europe/Berlin"
    assert len(schedule["coming"]) == 5
    assert site.get("/schedules/nobody").status_code == 404

    [limited] = site.get("/limits", headers=JSON).json()["queues"]
    assert (limited["queue"]["name"], limited["used"]) == ("api", 0)
    assert limited["fields"]["concurrency"] == 5

    system = site.get("/system", headers=JSON).json()
    assert system["version"] == system["head"]
    assert {finding["level"] for finding in system["findings"]} <= {"ok", "warning"}

    found = ids(site)
    parent = site.get(f"/jobs/{found['scheduled']}", headers=JSON).json()
    assert [child["id"] for child in parent["children"]] == [found["blocked"]]
    assert [event["words"] for event in parent["timeline"]] == ["due", "enqueued"]
    assert {run["state"] for run in parent["runs"]} >= {"completed", "discarded"}


def test_what_is_looked_for_is_found_by_number_and_by_task(site: TestClient) -> None:
    id = ids(site)["completed"]

    assert site.get(f"/find?what={id}").headers["location"] == f"/jobs/{id}"
    assert site.get("/find?what=send").headers["location"] == "/jobs?task=send"


def test_failures_are_grouped_without_what_varies(site: TestClient) -> None:
    groups = site.get("/failures", headers=JSON).json()["groups"]

    assert {group["message"] for group in groups} >= {"mail server … is away"}
    assert all(re.match(r"conftest.py:\d+ send", group["frame"]) for group in groups)


def test_failures_are_seen_further_and_further_back_and_a_page_says_how_far(
    app: App, site: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.dashboard.pages.failed.PORTION", 2)
    monkeypatch.setattr("pgqueue.dashboard.pages.failed.PORTIONS", 2)
    app.enqueue([NewJob("lost", queue="gone", max_attempts=1) for _ in range(7)])

    async def work() -> None:
        @app.task
        async def lost() -> None:
            raise LookupError("nobody")

        await app.run_worker(queues=["gone"], drain=True)

    asyncio.run(work())
    seen: list[int] = []
    address, pages = "/failures", 0
    while True:
        page = site.get(address, headers=JSON).json()
        assert site.get(address).status_code == 200
        seen += [id for group in page["groups"] for id in group["ids"]]
        pages += 1
        if page["older"] is None:
            break
        address = f"/failures?{urlencode(page['older'])}"

    states = [
        site.get("/jobs", params={"state": s}, headers=JSON) for s in ("discarded", "retryable")
    ]
    every = {job["id"] for answer in states for job in answer.json()["jobs"]}
    assert sorted(seen) == sorted(every)
    assert pages == 3
    assert "Look further" in site.get("/failures").text
    assert site.get("/failures?discarded=x").status_code == 404


def test_what_the_doctor_says_to_type_is_shown_as_code() -> None:
    assert ticked("run `pgqueue <x>` now") == "run <code>pgqueue &lt;x&gt;</code> now"
    assert ticked("one ` alone <b>") == "one ` alone &lt;b&gt;"


def test_a_page_of_the_system_shows_no_backticks(site: TestClient) -> None:
    assert "`" not in site.get("/system").text


def test_a_workflow_has_a_picture_and_a_table(site: TestClient) -> None:
    [flow] = site.get("/workflows", headers=JSON).json()["workflows"]

    page = site.get(f"/workflows/{flow['id']}")
    picture = site.get(f"/workflows/{flow['id']}.svg")

    assert page.text.count('<tr id="job-') == 3
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.text.startswith("<svg")


def test_secrets_are_hidden_until_somebody_who_may_reveals_them(site: TestClient, app: App) -> None:
    id = ids(site)["completed"]

    assert SECRET not in site.get(f"/jobs/{id}").text
    assert SECRET not in site.get("/jobs?state=completed").text
    assert SECRET in site.get(f"/jobs/{id}?reveal=yes").text
    [noted] = site.get("/audit", headers=JSON).json()["entries"]
    assert (noted["who"], noted["verb"], noted["target"]) == ("ann", "reveal", f"job {id}")
    reader = client(app, Access("bob", frozenset({"see"})))
    assert SECRET not in reader.get(f"/jobs/{id}?reveal=yes").text


def test_what_is_not_there_is_said_in_a_sentence(site: TestClient) -> None:
    assert "no job 999999" in site.get("/jobs/999999").text
    assert site.get("/jobs/999999").status_code == 404
    assert site.get("/workflows/999999").status_code == 404
    assert site.get("/jobs/999999", headers=JSON).json()["error"].startswith("no job 999999")


def test_a_viewer_of_some_queues_sees_no_others(app: App) -> None:
    some = client(app, Access("bob", queues=("mail*",)))

    jobs = some.get("/jobs", headers=JSON).json()["jobs"]
    others = ids(client(app))["completed"]

    assert {job["queue"] for job in jobs} == {"mail"}
    assert some.get(f"/jobs/{others}").status_code == 404
    assert [q["name"] for q in some.get("/", headers=JSON).json()["status"]["queues"]] == ["mail"]
    some.post("/cancel", data={"id": others})
    assert client(app).get(f"/jobs/{others}", headers=JSON).json()["job"]["state"] == "completed"


def test_a_store_that_is_away_shows_what_was_last_read_and_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.dashboard.site.FRESH_SECONDS", 0)
    require_valkey()
    valkey = Valkey(tmp_path, "--appendonly", "yes")
    valkey.start()
    app = App(valkey.url)
    app.enqueue(NewJob("send"))
    stale = "The store does not answer in time; this is from"
    with client(app) as site:
        assert stale not in site.get("/jobs").text

        valkey.stop()
        assert stale in site.get("/jobs").text
        assert "send" in site.get("/jobs").text
        assert site.get("/failures").status_code == 503
        assert "error" in site.get("/failures", headers=JSON).json()

        valkey.start()
        assert stale not in site.get("/jobs").text
        assert site.get("/failures").status_code == 200
    valkey.stop()


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_reading_a_page_writes_nothing(app: App) -> None:
    def writes() -> Generator[Operation[Any], Any, Page]:
        yield operations.pause("mail")
        return Page()

    async def read() -> None:
        site = Dashboard(app, allow_all, read_only=False, name="", colour="indigo")
        try:
            await site.read("writes", writes())
        finally:
            await app.close_async()

    with pytest.raises(PgqueueError, match="takes no writes"):
        asyncio.run(read())
