"""Acts through `app.jobs`, `app.queues` and `app.schedules` are noted, on each store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgqueue import App, Filter, cancel, retry
from pgqueue.errors import SchemaOutOfDate
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.limits import KeyLimits, Limits, Rate
from pgqueue.jobs.retention import Retention
from pgqueue.managing.actors import this_user
from pgqueue.operations import inspections
from pgqueue.operations.auditing import AuditEntry, audited
from tests.managing.conftest import Make

DAY = timedelta(days=1)


def jobs(app: App, count: int, queue: str = "mail") -> list[int]:
    return [h.id for h in app.enqueue([NewJob[Any]("send", queue=queue) for _ in range(count)])]


def notes(app: App) -> list[AuditEntry]:
    """All there are, the oldest first."""
    return app.execute(audited(limit=1_000))[::-1]


def test_what_is_done_to_a_job_is_noted_with_its_answer(app: App) -> None:
    [id] = jobs(app, 1)
    app.jobs.reprioritise([id], 5)
    app.jobs.move([id], "slow", by="ann")
    app.jobs.cancel([id], reason="sold out", by="bob")
    app.jobs.retry([id])

    assert [(n.who, n.verb, n.target, n.answer, n.reason) for n in notes(app)] == [
        ("the shop", "reprioritise", f"job {id}", "to priority 5: 1 available", None),
        ("ann", "move", f"job {id}", "to queue slow: 1 available", None),
        ("bob", "cancel", f"job {id}", "1 cancelled", "sold out"),
        ("the shop", "retry", f"job {id}", "1 available", None),
    ]


async def test_in_a_coroutine_too(app: App) -> None:
    [id] = await asyncio.to_thread(jobs, app, 1)
    await app.jobs.cancel_async([id], by="ann")
    await app.queues.pause_async("mail", by="ann")
    await app.close_async()

    found = [(n.verb, n.target) for n in await asyncio.to_thread(notes, app)]
    assert found == [("cancel", f"job {id}"), ("pause", "queue mail")]


def test_of_many_jobs_each_portion_is_noted_with_the_filter(app: App) -> None:
    jobs(app, 1_200)
    some = jobs(app, 3, "other")

    app.jobs.cancel(Filter(queue="mail"))
    app.jobs.cancel(some)

    *portions, named = notes(app)
    assert {n.filter for n in portions} == {"in queue mail"}
    assert sum(n.count or 0 for n in portions) == 1_200
    assert len(portions) > 1
    assert (named.filter, named.count) == (", ".join(map(str, some)), 3)


def test_what_found_no_job_is_not_noted(app: App) -> None:
    app.jobs.cancel([4_711])
    app.jobs.cancel(Filter(queue="mail"))

    assert notes(app) == []


def test_who_acts_is_the_user_unless_somebody_says_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make()
    app.queues.pause("mail")
    monkeypatch.setenv("PGQUEUE_ACTOR", "nightly")
    app.queues.pause("mail")

    assert [n.who for n in notes(app)] == [this_user(), "nightly"]
    with pytest.raises(ValueError, match="who acts has a name"):
        app.queues.pause("mail", by="two\nlines")


def test_an_application_that_acts_all_the_time_notes_only_what_has_a_name(make: Make) -> None:
    app = make(audit=False)
    [one, other] = jobs(app, 2)
    app.jobs.cancel([one])
    app.jobs.cancel([other], by="ann")
    app.queues.pause("mail")

    assert [(n.who, n.target) for n in notes(app)] == [("ann", f"job {other}")]


def test_queues_are_paused_limited_and_resumed(app: App) -> None:
    app.queues.pause("mail", "news", reason="the provider is down")
    paused = {q.name for q in app.execute(inspections.queues()) if q.paused_at}
    app.queues.resume("mail", "news")
    held = app.queues.limit("api", {"concurrency": 20, "rate": Rate(100, 60)}, by="ann")
    app.queues.limit_key("api", "tenant-7", KeyLimits(2))
    app.queues.limit("api", {"concurrency": None})

    assert paused == {"mail", "news"}
    assert held == Limits(20, Rate(100, 60))
    assert [(n.verb, n.target, n.answer, n.reason) for n in notes(app)] == [
        ("pause", "queue mail", "paused", "the provider is down"),
        ("pause", "queue news", "paused", "the provider is down"),
        ("resume", "queue mail", "resumed", None),
        ("resume", "queue news", "resumed", None),
        ("limit", "queue api", "concurrency 20, rate 100/60s", None),
        ("limit", "queue api", "key tenant-7: concurrency 2", None),
        ("limit", "queue api", "rate 100/60s", None),
    ]


def test_schedules_are_noted_with_what_came_of_it(app: App) -> None:
    schedules = app.schedules
    schedules.put("digest", "@daily", NewJob[Any]("digest"))
    schedules.pause("digest", by="ann")
    schedules.pause("digest")
    assert schedules.show("digest").paused_by == "ann"
    schedules.resume("digest")
    schedules.change("digest", "@hourly")
    schedules.reset("digest")
    ran = schedules.run("digest")
    schedules.backfill("digest", datetime.now(UTC) - 2 * DAY, datetime.now(UTC) - DAY, force=True)
    schedules.remove("digest")

    assert [(n.who, n.verb, n.answer) for n in notes(app)] == [
        ("the shop", "put", "changed"),
        ("ann", "pause", "paused"),
        ("the shop", "pause", "was paused"),
        ("the shop", "resume", "resumed"),
        ("the shop", "change", "changed"),
        ("the shop", "reset", "reset"),
        ("the shop", "run", f"{ran.outcome}: job {ran.job}"),
        ("the shop", "backfill", notes(app)[7].answer),
        ("the shop", "remove", "removed digest"),
    ]
    assert {n.target for n in notes(app)} == {"schedule digest"}


def test_schedules_are_changed_for_a_reason(app: App) -> None:
    schedules = app.schedules
    schedules.put("digest", "@daily", NewJob[Any]("digest"), reason="put")
    schedules.pause("digest", reason="pause")
    schedules.resume("digest", reason="resume")
    schedules.change("digest", "@hourly", reason="change")
    schedules.reset("digest", reason="reset")
    schedules.run("digest", reason="run")
    since = datetime.now(UTC) - 2 * DAY
    schedules.backfill("digest", since, since + DAY, force=True, reason="backfill")
    schedules.remove("digest", reason="remove")

    assert len(notes(app)) == 8
    assert all(note.reason == note.verb for note in notes(app))


def test_limits_that_are_only_read_are_not_noted(app: App) -> None:
    app.queues.limit("api", {"concurrency": 2})
    assert app.queues.limit("api") == Limits(2)
    app.queues.limit("api", reset=True)
    assert [note.answer for note in notes(app)] == ["concurrency 2", "no limits"]


def test_an_act_whose_note_is_refused_is_not_done(app: App) -> None:
    if "transactions" not in app.backend.capabilities:
        pytest.skip("Redis refuses no note")
    [id] = jobs(app, 1)
    prefix = "pgqueue_" if app.url.startswith("sqlite") else "pgqueue."
    run(app, f"ALTER TABLE {prefix}audit RENAME COLUMN who TO whom")

    with pytest.raises(SchemaOutOfDate):
        app.jobs.cancel([id])
    with pytest.raises(SchemaOutOfDate):
        app.queues.pause("mail")

    run(app, f"ALTER TABLE {prefix}audit RENAME COLUMN whom TO who")
    assert app.execute(inspections.get([id]))[id].state == "available"
    assert not any(queue.paused_at for queue in app.execute(inspections.queues()))


def test_in_the_callers_transaction_it_is_noted_with_the_act(app: App) -> None:
    if "transactions" not in app.backend.capabilities:
        pytest.skip("a pipeline answers too late")
    [id] = jobs(app, 1)
    with app.backend.connect() as connection:
        cancel(connection, [id], by="ann")
        cancel(connection, [id])
        retry(connection, [id], by="ann")
        connection.commit()

    assert [(n.who, n.verb, n.target) for n in notes(app)] == [
        ("ann", "cancel", f"job {id}"),
        ("ann", "retry", f"job {id}"),
    ]


def test_the_audit_is_kept_for_a_week_at_least() -> None:
    assert Retention().audit == 90 * DAY
    assert Retention(audit=None).audit_kept() is None
    assert Retention(audit=7 * 86_400).audit_kept() == 7 * DAY
    with pytest.raises(ValueError, match=r"Retention: audit: .* is less than a week"):
        Retention(audit=DAY)


def run(app: App, statement: str) -> None:
    """As the tables' owner."""
    with app.backend.connect() as connection:
        connection.execute(statement)
        connection.commit()
