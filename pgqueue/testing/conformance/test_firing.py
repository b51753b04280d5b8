"""Schedules that are due fire, each instant once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.jobs.schedules.rows import NEVER
from pgqueue.operations import Advance, Became, Instant, ScheduleWrite
from pgqueue.testing.conformance.schedules import (
    HOUR,
    MINUTE,
    a_row,
    add,
    outcomes,
    scheduled,
)
from pgqueue.testing.conformance.store import NOON, Store, needs


def test_what_is_due_comes_with_the_clock_and_when_the_next_is(store: Store) -> None:
    assert store.do(operations.due(now=store.now)) == ([], [], NOON, None)
    add(
        store,
        a_row("later", first=NOON + HOUR),
        a_row("now", first=NOON),
        a_row("late", first=NOON - HOUR),
    )
    add(store, a_row("new", first=None), a_row("paused", first=NOON, paused_at=NOON))
    add(store, a_row("retired", first=None, retired_at=NOON))

    due = store.do(operations.due(now=store.now))

    assert [row.name for row in due.rows] == ["new", "late", "now"]
    assert (due.now, due.next_due) == (NOON, HOUR)


def test_promote_says_when_the_next_schedule_is(store: Store) -> None:
    assert store.promote().next_schedule is None
    add(store, a_row(first=NOON + HOUR))
    assert store.promote().next_schedule == HOUR
    add(store, a_row("due", first=NOON - MINUTE))
    assert store.promote().next_schedule == -MINUTE
    add(store, a_row("new", first=None))
    assert store.promote().next_schedule == timedelta(0)
    store.do(operations.unschedule(["due", "new", "s"]))
    assert store.promote().next_schedule is None


def test_a_schedule_goes_on_only_as_it_was_read(store: Store) -> None:
    names = ["moved", "edited", "paused", "retired", "right", "backwards"]
    add(store, *(a_row(name, last_at=NOON) for name in names))
    add(store, a_row("new", first=None))
    for name, change in (
        ("edited", {"said": "x"}),
        ("paused", {"paused_at": NOON}),
        ("retired", {"retired_at": NOON}),
    ):
        store.schedule(ScheduleWrite(replace(store.one_schedule(name), **change)))
    went = NOON + 2 * MINUTE
    asked = [Advance(name, 1, NOON + MINUTE, NOON + MINUTE, went) for name in names[1:-1]]
    asked += [
        Advance(name, 2, NOON + MINUTE, NOON + MINUTE, went) for name in ("paused", "retired")
    ]
    asked += [Advance("moved", 1, NOON, NOON + MINUTE, went), Advance("new", 1, None, None, went)]
    asked += [Advance("backwards", 1, NOON + MINUTE, NOON, went)]

    assert store.do(operations.advance(asked)) == {"right", "new"}

    assert store.one_schedule("right").last_at == NOON + MINUTE
    assert store.one_schedule("right").next_at == went
    assert (store.one_schedule("new").last_at, store.one_schedule("new").next_at) == (None, went)
    assert store.one_schedule("moved").next_at == NOON + MINUTE


def test_an_instant_is_dealt_with_once(store: Store) -> None:
    first = store.do(operations.fired([Instant("s", NOON, "fired")], now=store.now))
    both = [Instant("s", NOON, "manual"), Instant("s", NOON + MINUTE, "missed")]
    second = store.do(operations.fired(both, now=store.now))
    now = store.do(operations.fired([Instant("s", None, "manual")], now=NOON + HOUR))

    assert first.instants == [("s", NOON)]
    assert second.instants == [("s", NOON + MINUTE)]
    assert now.instants == [("s", NOON + HOUR)]
    store.do(operations.record([Became("s", NOON, 7, "skipped")]))
    assert outcomes(store) == [(0, "skipped", 7), (1, "missed", None), (60, "manual", None)]
    assert [f.outcome for f in store.firings("s", since=NOON + MINUTE, until=NOON + HOUR)] == [
        "missed"
    ]
    assert [f.outcome for f in store.firings("s", limit=1)] == ["manual"]


def test_a_schedule_fires_at_each_of_its_instants(store: Store) -> None:
    add(store, a_row(overlap="allow"))
    assert store.fire().became == []

    jobs = []
    for _ in range(3):
        store.passes(minutes=1)
        [became] = store.fire().became
        jobs.append(became.job)
        assert store.fire().became == []

    assert outcomes(store) == [(n, "fired", jobs[n - 1]) for n in (1, 2, 3)]
    first, _, last = store.jobs(*(job for job in jobs if job))
    assert (first.task, first.args, first.state) == ("task", {"n": 1}, "available")
    assert scheduled(store, first.id) == {
        "name": "s",
        "instant": "2030-06-01T12:01:00Z",
        "previous": None,
        "missed": 0,
        "manual": False,
    }
    assert scheduled(store, last.id)["previous"] == "2030-06-01T12:02:00Z"


def test_who_reads_before_somebody_else_fires_fires_nothing(store: Store) -> None:
    """There are two leaders: one of them was frozen while its term ran out."""
    add(store, a_row(overlap="allow"), a_row("other", overlap="allow", first=NOON + 5 * MINUTE))
    store.passes(minutes=1)
    due = store.do(operations.due(now=store.now))
    moves = [operations.to_fire(row, due.now) for row in due.rows]
    assert len(store.carry(operations.fire(moves, now=store.now)).became) == 1

    told = store.carry(operations.fire(moves, now=store.now))

    assert (told.became, told.advanced) == ([], set())
    assert len(store.listing()) == 1


def test_a_clock_that_goes_back_repeats_nothing(store: Store) -> None:
    add(store, a_row(overlap="allow"))
    store.passes(minutes=1)
    store.fire()
    store.passes(minutes=-1)
    row = replace(store.one_schedule("s"), next_at=None)
    store.schedule(ScheduleWrite(row, moved=True))
    store.fire()
    assert store.one_schedule("s").next_at == NOON + 2 * MINUTE
    store.passes(minutes=1)

    assert store.fire().became == []
    assert len(store.listing()) == 1


def test_an_instant_that_was_dealt_with_otherwise_is_not_fired(store: Store) -> None:
    add(store, a_row(overlap="allow"))
    row = store.one_schedule("s")
    store.passes(minutes=2)
    told = store.carry(operations.backfill(row, [NOON + 2 * MINUTE], now=store.now))
    assert [each.outcome for each in told.became] == ["backfill"]

    assert store.fire().became == []

    assert outcomes(store) == [(2, "backfill", told.became[0].job)]
    assert store.one_schedule("s").next_at == NOON + 3 * MINUTE


def test_after_an_outage_the_latest_instant_fires_once(store: Store) -> None:
    add(store, a_row())
    store.passes(minutes=10, seconds=30)

    [became] = store.fire().became

    assert outcomes(store) == [(10, "fired", became.job)]
    assert scheduled(store, became.job)["missed"] == 9


def test_each_missed_instant_fires_where_all_do(store: Store) -> None:
    add(store, a_row(missed="all", overlap="allow"))
    store.passes(minutes=3)

    assert len(store.fire().became) == 3

    assert [at for at, _, _ in outcomes(store)] == [1, 2, 3]
    assert len(store.listing()) == 3


def test_what_is_passed_over_leaves_a_mark(store: Store) -> None:
    add(store, a_row(missed="skip"))
    store.passes(minutes=3, seconds=30)

    [became] = store.fire().became

    assert outcomes(store) == [(1, "missed", None), (2, "missed", None), (3, "fired", became.job)]


def test_jitter_puts_the_job_off(store: Store) -> None:
    add(store, a_row(jitter_seconds=30.0))
    store.passes(minutes=1)

    [became] = store.fire().became

    job = store.job(became.job or 0)
    assert job.state == "scheduled"
    assert NOON + MINUTE < job.run_at < NOON + MINUTE + timedelta(seconds=30)


@pytest.mark.parametrize(
    "job",
    [
        {"task": "no name"},
        {"task": "t", "priority": 10**6},
        {"task": "t", "odd": 1},
        {},
        {"task": "t", "args": [1]},
        {"task": "t", "edges": [1]},
    ],
)
def test_a_row_that_makes_no_job_has_a_problem_and_the_others_fire(store: Store, job: Any) -> None:
    add(store, a_row("bad", job=job), a_row("good"))
    store.passes(minutes=1)

    assert [each.schedule for each in store.fire().became] == ["good"]

    bad = store.one_schedule("bad")
    assert (bad.next_at, bad.last_at) == (NEVER, None)
    assert bad.problem
    assert store.fire().became == []


def test_a_row_whose_time_cannot_be_read_has_a_problem(store: Store) -> None:
    add(
        store,
        a_row("bad", first=None, every_seconds=None, cron="99 * * * *"),
        a_row("good", first=None),
    )

    assert store.fire().advanced == {"bad", "good"}

    assert store.one_schedule("good").next_at == NOON + MINUTE
    assert store.one_schedule("bad").problem
    mended = replace(store.one_schedule("bad"), cron="* * * * *", next_at=None)
    store.schedule(ScheduleWrite(mended, moved=True))
    store.fire()
    assert store.one_schedule("bad").problem is None
    assert store.one_schedule("bad").next_at == NOON + MINUTE


def test_a_schedule_that_is_over_fires_no_more(store: Store) -> None:
    add(store, a_row(ends_at=NOON + 2 * MINUTE))
    store.passes(minutes=1)
    assert len(store.fire().became) == 1

    assert store.one_schedule("s").next_at == NEVER
    store.passes(hours=5)
    assert store.fire().became == []


def test_a_paused_schedule_keeps_still(store: Store) -> None:
    add(store, a_row(paused_at=NOON))
    store.passes(minutes=5)

    assert store.fire().became == []
    assert store.one_schedule("s").next_at == NOON + MINUTE


def test_many_fire_at_once(store: Store) -> None:
    add(store, *(a_row(f"s{n:03}") for n in range(300)))
    store.passes(minutes=1)

    assert len(store.fire(limit=200).became) == 200
    assert len(store.fire(limit=200).became) == 100
    assert store.fire().became == []
    assert len(store.listing(limit=1_000)) == 300


@needs("transactions")
def test_firing_is_undone_with_its_transaction(store: Store) -> None:
    add(store, a_row())
    store.passes(minutes=1)
    due = store.do(operations.due(now=store.now))
    moves = [operations.to_fire(row, due.now) for row in due.rows]

    class Killed(Exception):
        pass

    with pytest.raises(Killed), store.backend.transaction() as executor:
        carry_out(operations.fire(moves, now=store.now), executor.execute)
        raise Killed

    assert (store.listing(), store.firings("s")) == ([], [])
    assert len(store.fire().became) == 1


def test_what_was_declared_is_text_that_nobody_changes(store: Store) -> None:
    big = {"task": "t", "args": {"n": 2**63, "f": 0.1, "empty": [], "none": {}}}
    add(store, a_row(job=big, overlap="allow"))
    store.passes(minutes=1)

    [became] = store.fire().became

    assert store.one_schedule("s").job == big
    assert store.job(became.job or 0).args == big["args"]
