"""What a viewer does is done in the store, asked twice when it is several, and told."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from pgqueue import App, NewJob, operations
from pgqueue.dashboard import Access
from pgqueue.dashboard.actions import act_of
from pgqueue.dashboard.actions.asked import Asked
from pgqueue.dashboard.forms import Form
from pgqueue.jobs.unique import Unique
from pgqueue.operations import inspections
from pgqueue.operations.auditing import audited
from pgqueue.operations.choosing import PORTION
from pgqueue.testing.conformance import NOON, PROFILE
from pgqueue.worker import Options
from pgqueue.worker.assembly import profile
from tests.dashboard.conftest import SECRET, client
from tests.dashboard.test_pages import JSON, ids


def state(site: TestClient, id: int) -> str:
    return str(site.get(f"/jobs/{id}", headers=JSON).json()["job"]["state"])


def test_a_discarded_job_is_run_again(site: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    id = ids(site)["discarded"]

    with caplog.at_level(logging.INFO, "pgqueue.dashboard"):
        answer = site.post("/retry", data={"id": id, "back": f"/jobs/{id}"})

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/jobs/{id}?done=1+job+will+run+again"
    assert state(site, id) == "available"
    assert "ann: 1 job will run again" in caplog.text


def test_several_are_asked_about_first(site: TestClient) -> None:
    found = ids(site)
    chosen = [found["scheduled"], found["available"]]

    asked = site.post("/cancel", data={"id": chosen, "back": "/jobs"})
    assert "Cancel these 2 jobs?" in asked.text
    assert state(site, chosen[0]) == "scheduled"

    site.post("/cancel", data={"id": chosen, "back": "/jobs", "sure": "yes"})
    assert {state(site, id) for id in chosen} == {"cancelled"}
    reason = site.get(f"/jobs/{chosen[0]}", headers=JSON).json()["job"]["reason"]
    assert "by ann" in reason


def test_a_queue_is_paused_and_resumed(site: TestClient) -> None:
    site.post("/pause", data={"queue": "mail"})
    assert "paused" in site.get("/").text

    site.post("/resume", data={"queue": "mail"})
    [mail] = [
        queue
        for queue in site.get("/", headers=JSON).json()["status"]["queues"]
        if queue["name"] == "mail"
    ]
    assert mail["paused_at"] is None


def test_a_worker_is_asked_to_be_quiet_to_go_on_and_to_stop(site: TestClient, app: App) -> None:
    app.execute(operations.join(PROFILE))
    worker = app.execute(inspections.workers())[0]

    for verb, asked in (("quiet", "quiet"), ("resume", None), ("stop", "stop")):
        forged = {"task": "innocent", "name": "innocent", "id": "7"}
        answer = site.post(f"/workers/{verb}", data={"worker": worker.id, **forged})
        assert answer.status_code == 303
        assert app.execute(inspections.workers())[0].asked == asked
    noted = app.execute(audited(target=f"worker {worker.name}"))
    assert [note.answer for note in noted] == [
        f"{worker.name} is to stop",
        f"{worker.name} claims again",
        f"{worker.name} claims nothing more",
    ]
    assert site.post("/workers/quiet", data={"worker": "4711"}).status_code == 409


def test_the_page_of_workers_has_buttons_for_who_may_and_says_what_was_asked(
    site: TestClient, app: App
) -> None:
    app.execute(operations.join(PROFILE))
    worker = app.execute(inspections.workers())[0]
    page = site.get("/workers").text
    assert 'action="/workers/quiet"' in page
    assert 'action="/workers/stop"' in page
    assert 'action="/workers/resume"' not in page

    site.post("/workers/quiet", data={"worker": worker.id})

    page = site.get("/workers").text
    assert "‖ quiet" in page
    assert 'action="/workers/resume"' in page
    assert (
        'action="/workers/'
        not in client(app, Access("bob", frozenset({"see"}))).get("/workers").text
    )


def test_of_many_jobs_each_lot_is_noted_in_its_transaction(site: TestClient, app: App) -> None:
    app.enqueue([NewJob("many") for _ in range(PORTION + 1)])
    said = {"all": "yes", "task": "many", "sure": "yes", "typed": str(PORTION + 1)}

    finished(site, site.post("/cancel", data=said, headers=JSON).json()["page"])

    noted = [entry for entry in app.execute(audited()) if entry.filter == "of task many"]
    assert sorted(entry.count or 0 for entry in noted) == [1, PORTION]
    assert {(entry.who, entry.verb) for entry in noted} == {("ann", "cancel")}


def test_what_ended_meanwhile_is_counted_apart(site: TestClient) -> None:
    found = ids(site)

    done = site.post("/cancel", data={"id": found["completed"]}, headers=JSON).json()["done"]

    assert done == "0 jobs cancelled; 1 job could not be: finished meanwhile, or not there any more"


def test_nonsense_is_refused_in_a_sentence(site: TestClient) -> None:
    for named in ({}, {"id": "x"}, {"id": "9" * 30}):
        assert site.post("/retry", data=named).status_code in (303, 409)
    assert site.post("/pause", data={"queue": "no such\nname"}).status_code == 409


def test_a_form_leads_back_to_this_site_only(site: TestClient) -> None:
    id = ids(site)["discarded"]
    for back in ("//evil.example/", "https://evil.example/", "/\\evil.example", ""):
        answer = site.post("/retry", data={"id": id, "back": back})
        assert answer.headers["location"].startswith("/")
        assert not answer.headers["location"].startswith(("//", "/\\"))


def test_without_a_verb_its_buttons_are_not_there(app: App) -> None:
    reader = client(app, Access("bob", frozenset({"see"})))

    for page in ("/", "/jobs", f"/jobs/{ids(reader)['discarded']}", "/failures"):
        assert "<button>Retry" not in reader.get(page).text
        assert "Pause</button>" not in reader.get(page).text
        assert "Run again" not in reader.get(page).text


def test_read_only_takes_every_action_away(app: App) -> None:
    site = client(app, read_only=True)

    assert site.get("/").status_code == 200
    assert site.post("/pause", data={"queue": "mail"}).status_code == 403


def test_a_job_is_run_again_with_other_arguments_and_keeps_what_was_hidden(
    site: TestClient, app: App
) -> None:
    id = ids(site)["scheduled"]
    page = site.get(f"/jobs/{id}/edit", headers=JSON).json()
    fields = {field["name"]: field["text"] for field in page["fields"]}
    assert fields == {"given.order": "4", "given.password": "", "given.note": ""}

    secret = app.tasks["send"].job(11, password=SECRET)
    [handle] = [app.enqueue(secret)]
    page = site.get(f"/jobs/{handle.id}/edit", headers=JSON).json()
    fields = {field["name"]: field["text"] for field in page["fields"]}
    assert SECRET not in str(page)
    said = fields | {"given.order": "12", "retried_from": str(handle.id), "priority": "3"}
    done = site.post("/enqueue", data=said, headers=JSON).json()

    new = int(done["page"].rpartition("/")[2])
    job = app.execute(inspections.get([new]))[new]
    assert job.args == {"order": 12, "password": SECRET}
    assert (job.priority, job.metadata) == (3, {"retried_from": handle.id})


def test_a_form_enqueues_by_the_signature(site: TestClient, app: App) -> None:
    refused = site.post("/enqueue", data={"task": "send", "given.order": "soon"})
    assert refused.status_code == 409
    assert "order" in refused.text

    site.post("/enqueue", data={"task": "send", "given.order": "21", "delay": "2h"})
    site.post("/enqueue", data={"task": "elsewhere.task", "args": '{"a": [1]}', "queue": "mail"})

    [send, other] = sorted(app.execute(inspections.list_jobs(limit=2)), key=lambda job: job.id)
    assert (send.args, send.state) == ({"order": 21}, "scheduled")
    assert (other.task, other.args, other.queue) == ("elsewhere.task", {"a": [1]}, "mail")


def test_what_became_of_a_job_with_a_unique_key_is_said(site: TestClient, app: App) -> None:
    @app.task(unique=Unique(key="one", until="started", conflict="replace"))
    async def newest(n: int) -> None: ...

    def said(n: int) -> str:
        form = {"task": "newest", "given.n": str(n), "delay": "2h"}
        return str(site.post("/enqueue", data=form, headers=JSON).json()["done"])

    id = app.enqueue(newest.job(1)).id
    assert said(2) == f"job {id} had this unique key and waited: it has the new values now"
    assert app.execute(inspections.get([id]))[id].args == {"n": 2}

    app.enqueue(newest.job(3).options(queue="newest"))
    app.execute(operations.claim("newest", 1, 1, 1))
    assert "it waits until the running job with its unique key ends" in said(4)


def test_jobs_are_moved_and_given_another_priority(site: TestClient, app: App) -> None:
    id = ids(site)["available"]

    site.post("/move", data={"id": id, "to": "urgent"})
    site.post("/reprioritise", data={"id": id, "priority": "-5"})

    job = app.execute(inspections.get([id]))[id]
    assert (job.queue, job.priority) == ("urgent", -5)
    assert site.post("/move", data={"id": id, "to": "no name"}).status_code == 409
    assert site.post("/reprioritise", data={"id": id}).status_code == 409


def test_a_running_job_is_taken_from_its_worker(site: TestClient, app: App) -> None:
    id = ids(site)["available"]
    profile = {"name": "w", "host": "h", "pid": 1, "queues": ["mail"], "started_at": NOON}
    member = app.execute(operations.join(profile | {"info": {}}))
    [claimed] = app.execute(operations.claim("mail", member.worker, member.lease, 1))
    assert claimed.id == id

    done = site.post("/release", data={"id": id}, headers=JSON).json()["done"]

    assert done == "1 job taken from their workers"
    assert state(site, id) == "available"


def test_what_queues_and_keys_allow_is_set(site: TestClient) -> None:
    site.post("/limit", data={"queue": "mail", "concurrency": "3", "rate": "100/60s"})
    site.post("/limit", data={"queue": "mail", "key": "tenant-7", "weight": "2", "rate": "9/s"})

    page = site.get("/limits", headers=JSON).json()
    mail = next(each for each in page["queues"] if each["queue"]["name"] == "mail")
    assert (mail["fields"]["concurrency"], mail["fields"]["rate"]) == (3, [100, 60])
    [own] = page["exceptions"]
    assert (own["key"], own["limits"]["weight"]) == ("tenant-7", 2)

    site.post("/limit", data={"queue": "mail", "key": "tenant-7", "none": "yes"})
    site.post("/limit", data={"queue": "api", "concurrency": ""})
    site.post("/limit", data={"queue": "api", "reset": "yes"})
    page = site.get("/limits", headers=JSON).json()
    assert page["exceptions"] == []
    api = next(each for each in page["queues"] if each["queue"]["name"] == "api")
    assert api["fields"]["concurrency"] == 5
    assert site.post("/limit", data={"queue": "mail", "rate": "often"}).status_code == 409

    site.post("/limit", data={"queue": "mail", "rate": "1000000/31d"})
    assert 'value="1000000/2678400s"' in site.get("/limits?queue=mail").text  # it can be sent again


def test_a_schedule_is_paused_changed_run_and_reset(site: TestClient) -> None:
    def schedule() -> Any:
        return site.get("/schedules/digest", headers=JSON).json()

    site.post("/schedules/pause", data={"name": "digest"})
    assert schedule()["row"]["paused_by"] == "ann"
    site.post("/schedules/resume", data={"name": "digest"})
    assert schedule()["row"]["paused_at"] is None

    site.post("/schedules/change", data={"name": "digest", "when": "every day at noon"})
    assert schedule()["line"]["when"] == "At 12:00 every day, Europe/Berlin"
    site.post("/schedules/reset", data={"name": "digest"})
    assert schedule()["row"]["changes"] == {}

    done = site.post("/schedules/run", data={"name": "digest"}, headers=JSON).json()["done"]
    assert done.startswith("digest runs as job ")
    assert [each["firing"]["outcome"] for each in schedule()["fired"]] == ["manual"]
    again = site.post("/schedules/run", data={"name": "digest"}, headers=JSON).json()["done"]
    assert again.startswith("skipped")
    bad = site.post("/schedules/change", data={"name": "digest", "when": "whenever"})
    assert bad.status_code == 409


def test_all_that_a_filter_means_are_acted_on_in_the_background(site: TestClient) -> None:
    asked = site.post("/cancel", data={"all": "yes", "task": "send", "state": "scheduled"})
    assert "Cancel 1 job in state scheduled, of task send?" in asked.text

    said = {"all": "yes", "task": "send", "sure": "yes"}
    began = site.post("/cancel", data=said, headers=JSON).json()["page"]
    page = finished(site, began)

    assert page["state"] == "done"
    assert page["done"].endswith("jobs cancelled")
    left = site.get("/jobs", headers=JSON).json()["jobs"]
    assert {job["state"] for job in left} == {"completed", "cancelled", "discarded"}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_number_of_many_has_to_be_typed(site: TestClient, app: App) -> None:
    app.enqueue([app.tasks["send"].job(n).options(queue="many") for n in range(1_200)])
    said = {"all": "yes", "queue": "many", "sure": "yes"}

    asked = site.post("/cancel", data=said)
    assert "Type 1200" in asked.text
    assert site.get("/queues/many", headers=JSON).json()["counts"] == {"available": 1_200}

    began = site.post("/cancel", data=said | {"typed": "1,200"}, headers=JSON).json()["page"]
    assert finished(site, began)["done"] == "1,200 jobs cancelled"
    assert site.post(f"{began}/stop").status_code == 303
    assert site.get("/bulk/99").status_code == 404


def test_a_viewer_of_some_queues_acts_on_no_others(app: App) -> None:
    some = client(app, Access("bob", queues=("mail*",)))

    assert some.post("/cancel", data={"all": "yes", "task": "send"}).status_code == 409
    assert some.post("/cancel", data={"all": "yes", "queue": "default"}).status_code == 409
    assert some.post("/limit", data={"queue": "api", "concurrency": "1"}).status_code == 409
    assert some.post("/enqueue", data={"task": "send", "given.order": "1"}).status_code == 409
    id = ids(some)["available"]
    assert some.post("/move", data={"id": id, "to": "default"}).status_code == 409


def test_a_viewer_of_some_queues_sees_a_worker_of_a_pattern_and_stops_none_of_others(
    app: App,
) -> None:
    options = Options(queues="ma*", name="till")
    app.execute(operations.join(profile(app, options) | {"queues": []}))
    worker = app.execute(inspections.workers())[0]
    some = client(app, Access("bob", queues=("mail*",)))

    assert [each["name"] for each in some.get("/workers", headers=JSON).json()["workers"]] == [
        "till"
    ]
    assert "ma*" in some.get("/workers").text
    assert "till" in str(some.get("/", headers=JSON).json()["status"]["workers"])
    assert some.post("/workers/stop", data={"worker": worker.id}).status_code == 409


def finished(site: TestClient, path: str) -> Any:
    """A bulk's page when it is over."""
    until = time.monotonic() + 30
    while (page := site.get(path, headers=JSON).json())["state"] == "running":
        assert time.monotonic() < until
        time.sleep(0.02)
    return page


def test_what_is_done_is_noted_with_who_did_it(site: TestClient) -> None:
    id = ids(site)["scheduled"]
    site.post("/cancel", data={"id": id})
    site.post("/pause", data={"queue": "mail"})
    site.post("/schedules/run", data={"name": "digest"})
    site.post("/move", data={"id": id, "to": "no name"})  # refused, so not done
    said = {"all": "yes", "task": "send", "state": "retryable", "sure": "yes"}
    finished(site, site.post("/cancel", data=said, headers=JSON).json()["page"])

    def noted() -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = site.get("/audit", headers=JSON).json()["entries"]
        return entries

    until = time.monotonic() + 30
    while len(noted()) < 4:  # the last is noted when it is over
        assert time.monotonic() < until
        time.sleep(0.05)
    bulk, *others = noted()
    assert {entry["who"] for entry in noted()} == {"ann"}
    assert [(entry["verb"], entry["target"]) for entry in others] == [
        ("schedule", "schedule digest"),
        ("pause", "queue mail"),
        ("cancel", f"job {id}"),
    ]
    assert bulk["filter"] == "in state retryable, of task send"
    assert "1 job cancelled" in others[-1]["answer"]
    [one] = site.get(f"/audit?target=job+{id}", headers=JSON).json()["entries"]
    assert one == others[-1]


def test_a_verb_that_nobody_has_given_a_meaning_is_no_other_verb() -> None:
    asked = Asked(Access("ann"), Form([("priority", "5")]), App("sqlite:///:memory:"))

    assert act_of("reprioritise", asked).name == "reprioritise"
    with pytest.raises(ValueError, match="explode: nothing that is done to jobs"):
        act_of("explode", asked)
