"""What the tally says, as figures and as pictures."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from starlette.testclient import TestClient

from pgqueue import App, NewJob
from pgqueue.backends.plans import carry_out
from pgqueue.dashboard import Access, drawing
from pgqueue.jobs.tally import Series
from pgqueue.operations.gauging import LOOKS, QUEUE_ITSELF, RUNNING, WAITING
from pgqueue.operations.tallying import AHEAD, HOUR, MINUTE, TallyRow, tally
from pgqueue.views import charts
from pgqueue.views.charts import Chart, charting
from tests.dashboard.conftest import HOSTILE, client

NOW = datetime(2026, 3, 5, 14, 30, 20, tzinfo=UTC)
JSON = {"accept": "application/json"}


def counted(task: str = "send", queue: str = "mail", **outcomes: int) -> Series:
    series = Series(queue, task)
    for outcome, number in outcomes.items():
        series.count(outcome, number)
        series.ran.add(0.5, number)
        series.waited.add(0.001, number)
    return series


def noted(app: App, *rows: tuple[datetime, Series], span: timedelta = MINUTE, by: int = 1) -> None:
    app.execute(tally([TallyRow(at, span, by, series) for at, series in rows]))


def drawn(app: App, period: str, *, queue: str | None = None) -> Chart:
    return carry_out(charting(period, NOW, lambda _: True, queue=queue), app.execute)


def ended(chart: Chart) -> list[int]:
    return [point.completed + point.retried + point.discarded for point in chart.points]


@pytest.fixture
def app(url: str, namespace: str) -> Any:
    """A store without jobs."""
    app = App(url, schema="pgqueue" if url.startswith(("postgres", "sqlite")) else namespace)
    yield app
    app.close()


def gauge(queue: str, waiting: int, running: int, *, late: float = 0, looks: int = 1) -> Series:
    series = Series(queue, QUEUE_ITSELF, {LOOKS: looks, WAITING: waiting, RUNNING: running})
    if late:
        series.waited.add(late)
    return series


def test_what_waited_is_drawn_as_the_leader_saw_it(app: App) -> None:
    minute = NOW.replace(second=0)
    noted(app, (minute - MINUTE, gauge("mail", 40, 8, late=30)), by=0)
    noted(app, (minute - MINUTE, gauge("pdf", 2, 0)), by=0)
    noted(app, (minute - 3 * MINUTE, counted(completed=3)))
    hour = NOW.replace(minute=0, second=0) - HOUR
    noted(app, (hour, gauge("mail", 600, 60, late=3, looks=60)), by=0, span=HOUR)

    chart = drawn(app, "hour")
    days = drawn(app, "days")

    last, before = chart.points[-1], chart.points[-2]
    assert (last.waiting, last.running) == (42, 8)
    assert last.oldest_due_seconds == pytest.approx(30, rel=0.3)
    assert (before.waiting, before.oldest_due_seconds) == (None, None)
    assert ended(chart) == [*[0] * 57, 3, 0, 0]
    assert [line.name for line in chart.queues] == ["mail"]  # where something ended
    assert [line.name for line in chart.tasks] == ["send"]
    assert drawn(app, "hour", queue="pdf").points[-1].waiting == 2
    assert next(p for p in days.points if p.at == hour).waiting == 10


def test_the_picture_of_what_waited_is_shown_where_something_did(
    app: App, site: TestClient
) -> None:
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    noted(app, (minute - MINUTE, counted(completed=3)))
    assert "<strong>Waiting</strong>" not in site.get("/").text
    noted(app, (minute - 2 * MINUTE, gauge("mail", 1_234, 8, late=30)), by=0)

    with client(app) as anew:
        text = anew.get("/").text

    assert "at most 1,234" in text
    assert "1,234 waiting, 8 running, the first due for" in text
    assert anew.get("/tasks/send").text.count("<strong>Waiting</strong>") == 0


def test_an_hour_is_drawn_minute_by_minute(app: App) -> None:
    minute = NOW.replace(second=0)
    noted(app, (minute - 60 * MINUTE, counted(completed=3)), (minute, counted(completed=100)))
    noted(app, (minute - MINUTE, counted(completed=4, retried=2)), by=1)
    noted(app, (minute - MINUTE, counted("pack", "stock", completed=5, discarded=1)), by=2)

    chart = drawn(app, "hour")

    assert (chart.since, chart.until) == (minute - HOUR, minute)  # the last one is not over
    assert ended(chart) == [3, *[0] * 58, 12]
    assert (chart.total.completed, chart.total.retried, chart.total.discarded) == (12, 2, 1)
    assert chart.points[-1].ran_p50_seconds == pytest.approx(0.5, rel=0.3)
    assert chart.points[1].ran_p50_seconds is None
    assert [(line.name, sum(line.ended)) for line in chart.queues] == [("mail", 9), ("stock", 6)]
    assert [(line.name, line.ended[-1]) for line in chart.tasks] == [("send", 6), ("pack", 6)]
    assert ended(drawn(app, "hour", queue="stock")) == [*[0] * 59, 6]


def test_days_are_drawn_from_hours_and_from_minutes_that_are_not_in_them_yet(app: App) -> None:
    hour = NOW.replace(minute=0, second=0)
    noted(app, (hour - 47 * HOUR, counted(completed=7)), span=HOUR, by=AHEAD)
    noted(app, (hour - 5 * HOUR, counted(completed=9)), span=HOUR, by=AHEAD)
    noted(app, (hour - HOUR, counted(completed=30)), span=HOUR, by=AHEAD)
    noted(app, (hour - HOUR, counted(completed=30)), (hour + MINUTE, counted(completed=2)))

    chart = drawn(app, "days")

    assert ended(chart) == [7, *[0] * 41, 9, 0, 0, 0, 30, 2]
    assert sum(ended(drawn(app, "week"))) == sum(ended(drawn(app, "month"))) == 48


def test_of_too_many_rows_the_newest_are_drawn_and_it_says_so(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "ROWS", 12)
    minute = NOW.replace(second=0)
    for ago in range(60, 0, -1):
        noted(app, (minute - ago * MINUTE, counted(completed=1)))

    chart = drawn(app, "hour")

    assert chart.known_from == minute - 10 * MINUTE
    assert ended(chart) == [*[0] * 50, *[1] * 10]


def test_pages_have_charts_of_the_queues_that_somebody_sees(app: App) -> None:
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    for ago in (2, 3):
        noted(app, (minute - ago * MINUTE, counted(completed=3, retried=1)), by=ago)
        noted(app, (minute - ago * MINUTE, counted("pack", "stock", discarded=2)), by=ago)
    app.enqueue([NewJob("send", queue="mail"), NewJob("pack", queue="stock")])
    site, some = client(app), client(app, Access("bob", queues=("mail*",)))

    def total(asks: TestClient, path: str) -> tuple[int, int]:
        found = asks.get(path, headers=JSON).json()["chart"]["total"]
        return found["completed"] + found["retried"], found["discarded"]

    assert total(site, "/") == total(site, "/?period=days") == (8, 4)
    assert total(site, "/queues/stock") == total(site, "/tasks/pack") == (0, 4)
    assert total(some, "/") == total(some, "/tasks/send") == (8, 0)
    assert total(some, "/tasks/pack") == (0, 0)
    assert some.get("/tasks/pack").status_code == 200
    assert "stock" not in some.get("/", headers=JSON).text
    assert site.get("/?period=century").status_code == 404
    page = site.get("/").text
    assert page.count('<svg role="img"') == 3
    assert page.count('<svg class="spark" role="img"') == 2 + 2  # queues, tasks
    assert "6 completed, 2 retried, 4 discarded; most at" in page


def test_a_picture_is_described_and_lets_nothing_run() -> None:
    chart = {
        "since": "2026-03-05T13:00:00Z",
        "until": "2026-03-05T14:00:00Z",
        "step_seconds": 60,
        "total": {"completed": 1200, "retried": 0, "discarded": 3},
        "points": [
            {"at": "2026-03-05T13:00:00Z", "completed": 1200, "retried": 0, "discarded": 0},
            {"at": "2026-03-05T13:01:00Z", "completed": 0, "retried": 0, "discarded": 3},
        ],
    }
    [picture] = re.findall(r"<svg.*</svg>", str(drawing.ended(chart, "ended")))

    svg = ElementTree.fromstring(picture)

    assert svg.attrib["role"] == "img"
    said = [svg.find(f"*[@id='{id}']").text for id in svg.attrib["aria-labelledby"].split()]  # type: ignore[union-attr]
    assert said == [
        "Ended per minute",
        "From 2026-03-05 13:00 UTC to 2026-03-05 14:00 UTC: 1,200 completed, 3 discarded; "
        "most at 2026-03-05 13:00 UTC, 1,200 per minute.",
    ]
    assert [step.text for step in svg.findall("rect/title")] == [
        "2026-03-05 13:00 UTC: 1,200 completed",
        "2026-03-05 13:01 UTC: 0 completed, 3 discarded",
    ]
    line = str(drawing.spark({"name": HOSTILE, "ended": [1, 2]}, "the last hour"))
    assert "<script" not in line
    assert "style=" not in line + picture


@pytest.mark.parametrize(
    ("most", "top"),
    [
        (0, 1),
        (1, 1),
        (2, 2),
        (3, 4),
        (9, 10),
        (10, 10),
        (11, 20),
        (41, 60),
        (101, 200),
        (999, 1000),
    ],
)
def test_an_axis_ends_at_a_number_that_can_be_read(most: int, top: int) -> None:
    assert drawing.nice(most) == top


def test_without_anything_counted_a_page_says_how_that_comes(app: App) -> None:
    assert "No worker has reported that a job ended" in client(app).get("/tasks/send").text


def test_what_was_only_cancelled_or_put_off_has_ended_too(app: App) -> None:
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - 2 * MINUTE
    noted(app, (minute, counted(cancelled=3, snoozed=1)))

    page = client(app).get("/tasks/send").text

    assert "No worker has reported" not in page
    assert "The same as a table" in page


def test_failures_are_drawn_without_what_completed(app: App) -> None:
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    with client(app) as site:
        assert "No worker has reported a failed attempt" in site.get("/failures").text

    noted(app, (minute - 2 * MINUTE, counted(completed=90, retried=3, discarded=1)))
    noted(app, (minute - 5 * MINUTE, counted(queue="pdf", retried=7)))
    with client(app) as site:
        page = site.get("/failures").text
    with client(app, Access("bob", queues=("pdf",))) as some:
        theirs = some.get("/failures").text

    assert "10 retried, 1 discarded; most at" in page
    assert "of 101 that ended" in page
    assert "7 retried; most at" in theirs
