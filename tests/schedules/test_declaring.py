"""`@app.task(schedule=...)` and `app.schedule(...)`: what code declares."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import App, Context, Result
from pgqueue.errors import InvalidSchedule, InvalidTask
from pgqueue.tasks.context import Context as AnyContext


@pytest.fixture
def app() -> App:
    return App("sqlite:///:memory:")


def test_a_task_with_a_schedule_declares_one_of_its_name(app: App) -> None:
    @app.task(schedule="0 3 * * *", zone="Europe/Berlin", queue="night")
    async def nightly(ctx: Context, limit: int = 7) -> None: ...

    [(name, declared)] = app.declared.items()
    assert (name, declared.name) == ("nightly", "nightly")
    assert declared.timing.zone == "Europe/Berlin"
    assert (declared.job.task, declared.job.queue, declared.job.args) == ("nightly", "night", "{}")


def test_its_annotations_are_resolved_when_they_can_be(app: App) -> None:
    """A type may be defined further down in the module."""

    @app.task(schedule="@daily", unique=True)
    def nightly(ctx: AnyContext, what: Later | None = None) -> None: ...

    class Later: ...

    globals()["Later"] = Later
    try:
        assert app.declared["nightly"].job.unique
    finally:
        del globals()["Later"]


def test_a_parameter_without_a_default_is_refused(app: App) -> None:
    with pytest.raises(InvalidTask, match=r"nightly: order_id has no default: .*app.schedule\("):

        @app.task(schedule="@daily")
        def nightly(ctx: Context, order_id: int) -> None: ...

    with pytest.raises(InvalidTask, match="other: n has no default"):

        @app.task(schedule="@daily")
        def other(n: int, *, m: int = 1) -> None: ...

    with pytest.raises(InvalidTask, match="third: report has no default"):

        @app.task(schedule="@daily")
        def third(report: Result[int]) -> None: ...


def test_keywords_of_any_name_need_no_default(app: App) -> None:
    @app.task(schedule=timedelta(minutes=5))
    def nightly(**options: int) -> None: ...

    assert list(app.declared) == ["nightly"]


def test_what_cannot_be_read_is_refused_where_it_stands(app: App) -> None:
    with pytest.raises(InvalidSchedule, match=r"nightly: .*'foo' is not understood"):

        @app.task(schedule="every foo")
        def nightly() -> None: ...

    with pytest.raises(InvalidSchedule, match=r"nightly2: .*Berlln"):

        @app.task(schedule="@daily", zone="Europe/Berlln")
        def nightly2() -> None: ...

    with pytest.raises(InvalidTask, match="zone"):

        @app.task(zone="Europe/Berlin")
        def nightly3() -> None: ...

    assert app.declared == {}


def test_one_name_is_declared_once(app: App) -> None:
    @app.task(schedule="@daily")
    def nightly() -> None: ...

    with pytest.raises(InvalidSchedule, match="nightly: two schedules"):
        app.schedule("nightly", "@hourly", nightly.job())


def test_a_schedule_takes_every_option(app: App) -> None:
    @app.task
    def digest(kind: str) -> None: ...

    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    made = app.schedule(
        "digest",
        "every weekday at 9:00",
        digest.job(kind="daily"),
        zone="Europe/Berlin",
        missed="all",
        catch_up=3600,
        overlap="next",
        jitter=60,
        starts=noon,
        ends=noon + timedelta(days=1),
        immediately=True,
    )
    poll = app.schedule("poll", timedelta(seconds=15), digest.job("x"), anchor=noon)

    assert app.declared == {"digest": made, "poll": poll}
    assert (made.missed, made.overlap, made.jitter, made.immediately) == ("all", "next", 60, True)
    assert poll.timing.anchor == noon


def test_a_job_by_hand_is_a_manual_firing() -> None:
    scheduled = Context.detached("nightly").scheduled

    assert (scheduled.name, scheduled.manual, scheduled.previous) == ("nightly", True, None)


def test_a_fired_job_knows_its_instant() -> None:
    firing = {"name": "digest", "instant": "2026-01-01T12:00:00Z", "missed": 2}
    scheduled = Context.detached(metadata={"schedule": firing}).scheduled

    assert (scheduled.name, scheduled.missed, scheduled.manual) == ("digest", 2, False)
    assert scheduled.instant == datetime(2026, 1, 1, 12, tzinfo=UTC)
    own = Context.detached("mine", metadata={"schedule": "of my own"}).scheduled
    assert (own.name, own.manual) == ("mine", True)
