"""`app.schedules`, `schedule` and `unschedule` on each store."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from pgqueue import App, Context, operations, schedule, unschedule
from pgqueue.backends.plans import carry_out
from pgqueue.errors import InvalidSchedule, UnknownSchedule
from pgqueue.jobs.job import Job, NewJob
from pgqueue.jobs.schedules.rows import Scheduled, ScheduleRow
from pgqueue.operations import editing, inspections

NOW = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def declare(app: App, when: Any = "@daily", name: str = "digest", **options: Any) -> None:
    """What a worker does when it starts."""
    app.schedule(name, when, app.find("digest").job(), **options)
    carry(app, operations.declare(app.declared.values(), "shop"))


def carry(app: App, plan: Any) -> Any:
    with app.backend.transaction() as executor:
        return carry_out(plan, executor.execute)


def made(app: App, *names: str, when: Any = "@daily", **options: Any) -> None:
    for name in names:
        assert app.schedules.put(name, when, NewJob[Any]("digest"), **options)


def jobs(app: App) -> list[Job]:
    return sorted(app.execute(inspections.list_jobs()), key=lambda job: job.id)


def show(app: App, name: str = "digest") -> ScheduleRow:
    return app.schedules.show(name)


def test_lists_what_there_is(app: App) -> None:
    assert app.schedules.list() == []
    declare(app)
    made(app, "b", "a")

    assert [row.name for row in app.schedules.list()] == ["a", "b", "digest"]
    assert [row.name for row in app.schedules.list(owner="shop")] == ["digest"]
    assert (show(app).source, show(app).owner) == ("code", "shop")
    assert (show(app, "a").source, show(app, "a").owner) == ("api", None)


def test_first_fires_strictly_after_it_is_made(app: App) -> None:
    made(app, "digest", when=timedelta(hours=1))

    row = show(app)
    assert row.next_at is not None
    assert row.created_at is not None
    assert row.created_at < row.next_at <= row.created_at + HOUR


def test_says_that_there_is_none_of_that_name(app: App) -> None:
    for act in (app.schedules.show, app.schedules.pause, app.schedules.resume):
        with pytest.raises(UnknownSchedule, match="nothing: there is no schedule"):
            act("nothing")
    for act in (app.schedules.reset, app.schedules.run):
        with pytest.raises(UnknownSchedule, match="nothing: there is no schedule"):
            act("nothing")
    with pytest.raises(UnknownSchedule, match="nothing"):
        app.schedules.change("nothing", "@daily")
    with pytest.raises(UnknownSchedule, match="nothing"):
        app.schedules.backfill("nothing", NOW - DAY, NOW - HOUR)


def test_a_pause_survives_deploys_and_changes(app: App) -> None:
    declare(app)

    assert app.schedules.pause("digest", by="ann")
    assert not app.schedules.pause("digest", by="bob")
    app.schedules.change("digest", "@hourly")
    carry(app, operations.declare(app.declared.values(), "shop"))

    row = show(app)
    assert row.paused_by == "ann"
    assert row.paused_at is not None
    assert app.execute(operations.due()).rows == []


def test_what_falls_into_a_pause_is_dropped(app: App) -> None:
    made(app, "digest", "kept", when=timedelta(seconds=1))
    for name in ("digest", "kept"):
        app.schedules.pause(name)
    later = NOW + HOUR
    carry(app, editing.resume("digest", now=later))
    carry(app, editing.resume("kept", catch_up=True, now=later))

    dropped, caught_up = show(app), show(app, "kept")
    assert dropped.paused_at is None
    assert dropped.next_at is not None
    assert later < dropped.next_at
    assert caught_up.next_at is not None
    assert caught_up.next_at < later
    assert not app.schedules.resume("digest")


def test_a_change_takes_effect_at_once_and_survives_deploys(app: App) -> None:
    declare(app)
    before = show(app)

    assert app.schedules.change("digest", cron="0 8 * * 1-5", zone="Asia/Tokyo", jitter=30)
    assert not app.schedules.change("digest", cron="0 8 * * 1-5")
    carry(app, operations.declare(app.declared.values(), "shop"))

    row = show(app)
    assert (row.cron, row.zone, row.jitter_seconds) == ("0 8 * * 1-5", "Asia/Tokyo", 30)
    assert row.revision == before.revision + 1
    assert row.next_at == row.first_after(app.execute(operations.schedules(["digest"])).now)
    assert app.schedules.reset("digest")
    assert (show(app).cron, show(app).changes) == (before.cron, {})
    assert not app.schedules.reset("digest")


def test_a_change_may_be_of_every_field(app: App) -> None:
    made(app, "digest")
    app.schedules.change(
        "digest",
        timedelta(minutes=5),
        anchor=NOW,
        missed="all",
        overlap="allow",
        catch_up=600,
        starts=NOW + HOUR,
        ends=NOW + DAY,
    )

    row = show(app)
    assert (row.every_seconds, row.cron, row.missed) == (300, None, "all")
    assert row.next_at == NOW + HOUR
    app.schedules.change("digest", starts=None, ends=None, catch_up=None)
    assert (show(app).starts_at, show(app).ends_at, show(app).catch_up_seconds) == (None,) * 3


@pytest.mark.parametrize(
    "said", [{"missed": "all"}, {"when": "every foo"}, {"zone": "Mordor"}, {"jitter": -1}]
)
def test_a_change_that_makes_no_schedule_changes_nothing(app: App, said: dict[str, Any]) -> None:
    made(app, "digest")
    before = show(app)
    with pytest.raises(InvalidSchedule):
        app.schedules.change("digest", **said)

    assert show(app) == before


def test_runs_now_also_while_it_is_paused(app: App) -> None:
    made(app, "digest")
    app.schedules.pause("digest")
    before = show(app)

    ran = app.schedules.run("digest")

    [job] = jobs(app)
    assert (ran.job, ran.outcome) == (job.id, "manual")
    assert job.metadata is not None
    assert job.metadata["schedule"]["manual"] is True
    assert show(app) == before
    [firing] = app.schedules.history("digest")
    assert (firing.job_id, firing.outcome) == (job.id, "manual")


def test_an_unfinished_job_answers_instead_of_another(app: App) -> None:
    made(app, "digest")
    first, second = app.schedules.run("digest"), app.schedules.run("digest")
    third = app.schedules.run("digest", force=True)

    assert (second.outcome, second.job) == ("skipped", first.job)
    assert third.outcome == "manual"
    assert len(jobs(app)) == 2


def test_makes_up_for_the_past_once(app: App) -> None:
    made(app, "digest", when="@hourly")
    top = NOW.replace(minute=0, second=0, microsecond=0)
    since = top - 5 * HOUR

    first = app.schedules.backfill("digest", since, top)
    again = app.schedules.backfill("digest", since - HOUR, top)

    assert [each.instant for each in first] == [since + n * HOUR for n in range(5)]
    assert [each.instant for each in again] == [since - HOUR]
    assert len(jobs(app)) == 6
    assert {each.outcome for each in app.schedules.history("digest")} == {"backfill"}


def test_refuses_to_make_up_for_what_it_does_not_remember(app: App) -> None:
    made(app, "digest", when="* * * * *")
    with pytest.raises(InvalidSchedule, match="not remembered"):
        app.schedules.backfill("digest", NOW - 31 * DAY, NOW - 31 * DAY + HOUR)
    with pytest.raises(InvalidSchedule, match="not remembered"):
        app.schedules.backfill("digest", NOW - DAY, NOW - HOUR)
    with pytest.raises(InvalidSchedule, match="lies ahead"):
        app.schedules.backfill("digest", NOW - HOUR, NOW + DAY)
    assert jobs(app) == []

    since = (NOW - 40 * DAY).replace(second=0, microsecond=0)
    forced = app.schedules.backfill("digest", since, since + 2 * HOUR, force=True)
    assert len(forced) == 120


def test_declares_what_was_made_at_run_time_only_under_another_name(app: App) -> None:
    declare(app)
    with pytest.raises(InvalidSchedule, match="digest: the code of shop declares"):
        made(app, "digest")
    with pytest.raises(InvalidSchedule, match="digest: the code of shop declares"):
        carry(app, editing.remove(["digest"]))


def test_what_is_made_again_keeps_what_people_have_changed(app: App) -> None:
    made(app, "digest")
    app.schedules.change("digest", jitter=30)
    made(app, "digest", when="@hourly")

    assert (show(app).cron, show(app).jitter_seconds) == ("0 * * * *", 30)
    before = show(app)
    assert not app.schedules.put("digest", "@hourly", NewJob[Any]("digest"))
    assert show(app) == before


def test_what_is_removed_is_gone(app: App) -> None:
    made(app, "digest", "other")

    assert app.schedules.remove("digest", "nothing") == {"digest"}
    assert [row.name for row in app.schedules.list()] == ["other"]
    assert app.schedules.remove("digest") == set()


def test_previews_without_a_store() -> None:
    found = App("postgresql://nowhere.invalid/x").schedules.preview(
        "every 2 hours", zone="Asia/Kolkata", count=3, since=datetime(2026, 1, 1, tzinfo=UTC)
    )

    assert [str(each) for each in found] == [
        "2026-01-01 06:00:00+05:30",
        "2026-01-01 08:00:00+05:30",
        "2026-01-01 10:00:00+05:30",
    ]
    assert [b - a for a, b in pairwise(found)] == [2 * HOUR] * 2


async def test_what_code_declares_fires_while_a_worker_lives(app: App) -> None:
    told = asyncio.Event()
    seen: list[Scheduled] = []

    @app.task(schedule=timedelta(seconds=1))
    async def tick(ctx: Context) -> None:
        seen.append(ctx.scheduled)
        if len(seen) == 2:
            told.set()

    worker = asyncio.create_task(app.run_worker())
    async with asyncio.timeout(60):
        await told.wait()
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker
    await app.close_async()

    first, second = seen[:2]
    assert (first.name, first.manual, first.previous) == ("tick", False, None)
    assert first.instant < second.instant
    assert second.previous == first.instant


# In the application's own transaction


def test_exists_if_and_only_if_the_transaction_commits(postgres_url: str) -> None:
    app = App(postgres_url)
    job = NewJob[Any]("digest")
    with psycopg.connect(postgres_url) as connection:
        schedule(connection, "digest/7", "@weekly", job, zone="Asia/Tokyo")
        connection.rollback()
    assert app.schedules.list() == []

    with create_engine(_sqlalchemy(postgres_url)).begin() as connection:
        schedule(connection, "digest/7", "@weekly", job)
        assert connection.execute(text("SELECT count(*) FROM pgqueue.schedule")).scalar() == 1
    assert [row.name for row in app.schedules.list()] == ["digest/7"]

    with psycopg.connect(postgres_url) as connection:
        assert unschedule(connection, "digest/7", "digest/8") == {"digest/7"}
    assert app.schedules.list() == []
    app.close()


async def test_an_async_connection_is_awaited(postgres_url: str) -> None:
    app = App(postgres_url)
    job = NewJob[Any]("digest")
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await schedule(connection, "a", "@weekly", job)
    engine = create_async_engine(_sqlalchemy(postgres_url))
    async with engine.begin() as connection:
        await schedule(connection, "b", "@weekly", job)
        assert await unschedule(connection, "a") == {"a"}
    await engine.dispose()

    assert [row.name for row in app.schedules.list()] == ["b"]
    app.close()


def test_sqlites_own_connection(store_url: str, app: App) -> None:
    if not store_url.startswith("sqlite"):
        pytest.skip("PostgreSQL's are above, and Redis has no transaction of the caller's")
    with sqlite3.connect(store_url.removeprefix("sqlite:///")) as connection:
        schedule(connection, "a", "@weekly", NewJob[Any]("digest"))
    connection.close()

    assert [row.name for row in app.schedules.list()] == ["a"]


def test_nothing_is_written_for_a_schedule_that_cannot_be(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        with pytest.raises(InvalidSchedule, match=r"digest/7: .*Mordor"):
            schedule(connection, "digest/7", "@weekly", NewJob[Any]("digest"), zone="Mordor")
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def _sqlalchemy(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")
