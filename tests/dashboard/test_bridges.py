"""The page of outlets and inlets: what their workers say, what waits, and what can be done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.testclient import TestClient

from pgqueue import App, NewJob, operations
from pgqueue.dashboard import Access
from pgqueue.jobs.tally import Series
from pgqueue.operations.tallying import MINUTE, TallyRow, minute_of, tally
from pgqueue.views.bridges import BridgeState, info_of
from tests.dashboard.conftest import HOSTILE, client
from tests.dashboard.test_pages import JSON

NOW = datetime.now(UTC)


def bridged(app: App) -> None:
    """Two workers, one of which cannot reach the broker of the outlet *orders*; an inlet that is
    full, and one that nobody serves; 3 messages wait, 40 were sent."""
    away = BridgeState(
        name="orders", kind="outlet", place="amqp://shop", away_since=NOW, why=f"refused {HOSTILE}"
    )
    well = BridgeState(name="orders", kind="outlet", place="amqp://shop")
    full = BridgeState(
        name="payments",
        kind="inlet",
        queue="mail",
        paused_since=NOW,
        high_water=2,
        problems=["odd"],
    )
    for states in ([away, full], [well]):
        told = info_of(states) | {"inlets": ["uploads"]}
        profile = {"name": "w", "host": "h", "pid": 1, "queues": ["orders"], "started_at": NOW}
        app.execute(operations.join({**profile, "info": told}))
    app.enqueue([NewJob("orders", queue="orders") for _ in range(3)])
    sent = Series("orders", "orders", {"completed": 40})
    app.execute(tally([TallyRow(minute_of(NOW - timedelta(minutes=5)), MINUTE, 1, sent)]))


def test_each_bridge_is_a_line_with_what_its_workers_say(app: App, site: TestClient) -> None:
    assert site.get("/bridges", headers=JSON).json() == {"bridges": []}
    assert "No worker that is present knows of an outlet" in site.get("/bridges").text

    bridged(app)
    with client(app) as anew:
        page = anew.get("/bridges", headers=JSON).json()["bridges"]
        text = anew.get("/bridges").text

    outlet, full, unserved = page
    assert (outlet["status"]["name"], outlet["status"]["kind"]) == ("orders", "outlet")
    assert (outlet["status"]["workers"], outlet["status"]["away"]) == (2, 1)
    assert (outlet["status"]["waiting"], outlet["status"]["dead"]) == (3, 0)
    assert outlet["sent"]["completed"] == 40
    assert (full["status"]["name"], full["status"]["high_water"]) == ("payments", 2)
    assert (unserved["status"]["name"], unserved["status"]["workers"]) == ("uploads", 0)
    for said in (
        "1 of 2 workers cannot reach it",
        "refused &lt;script&gt;",
        "more than 2 jobs wait",
        "no worker takes from it",
        "▲ odd",
    ):
        assert said in text


def test_an_outlet_is_paused_and_goes_on(app: App, site: TestClient) -> None:
    bridged(app)
    paused = site.post("/pause", data={"queue": "orders", "back": "/bridges"})
    assert paused.headers["location"].startswith("/bridges?")

    assert site.get("/bridges", headers=JSON).json()["bridges"][0]["paused_at"] is not None
    assert "‖ paused" in site.get("/bridges").text
    site.post("/resume", data={"queue": "orders", "back": "/bridges"})
    assert site.get("/bridges", headers=JSON).json()["bridges"][0]["paused_at"] is None


def test_only_bridges_of_a_viewers_queues_are_shown(app: App) -> None:
    bridged(app)
    with client(app, Access("bob", queues=("pay*",))) as some:
        page = some.get("/bridges", headers=JSON).json()["bridges"]
    assert [each["status"]["name"] for each in page] == ["payments"]


def test_the_overview_counts_no_dead_letters(app: App, site: TestClient) -> None:
    bridged(app)
    shown = site.get("/", headers=JSON).json()["status"]["bridges"]
    assert {each["name"]: each["dead"] for each in shown} == {
        "orders": None,
        "payments": None,
        "uploads": None,
    }
