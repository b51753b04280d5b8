"""Schedules are written and read; history is kept for a while."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.errors import StoreBusy
from pgqueue.jobs.schedules.rows import Declaration, ScheduleRow
from pgqueue.operations import Instant, ScheduleWrite
from pgqueue.testing.conformance.schedules import (
    HOUR,
    MINUTE,
    a_row,
    add,
)
from pgqueue.testing.conformance.store import NOON, Store


def test_a_schedule_is_read_as_it_was_written(store: Store) -> None:
    declared = Declaration(said="every 5 s", job={"task": "t", "args": {"big": 2**60}})
    row = a_row(
        "a/b.c",
        owner="shop",
        said="every minute",
        cron="* * * * *",
        every_seconds=None,
        anchor=NOON - timedelta(days=30_000, microseconds=7),
        zone="Europe/Berlin",
        job={"task": "t", "args": {"deep": [1, {"x": None}], "t": "é\"'"}, "queue": "mail"},
        missed="all",
        catch_up_seconds=3600.5,
        overlap="allow",
        jitter_seconds=7.25,
        starts_at=NOON - HOUR,
        ends_at=NOON + 100 * HOUR,
        declared=declared,
        changes={"cron": "* * * * *"},
        source="code",
        paused_at=NOON,
        paused_by="ann",
        problem="it has one",
        last_at=NOON - MINUTE,
    )

    add(store, row)

    assert store.one_schedule("a/b.c") == replace(row, revision=1, created_at=NOON)


def test_a_new_one_does_not_take_the_place_of_another(store: Store) -> None:
    add(store, a_row(said="first"))

    assert store.schedule(ScheduleWrite(a_row(said="second"), new=True)) == set()
    assert store.one_schedule("s").said == "first"


def test_what_somebody_has_written_since_it_was_read_is_not_overwritten(store: Store) -> None:
    add(store, a_row(), a_row("other"))
    read = store.one_schedule("s")
    assert store.schedule(ScheduleWrite(replace(read, said="theirs"))) == {"s"}

    writes = [ScheduleWrite(replace(read, said="ours")), ScheduleWrite(store.one_schedule("other"))]
    assert store.schedule(*writes) == {"other"}

    assert (store.one_schedule("s").said, store.one_schedule("s").revision) == ("theirs", 2)


def test_an_edit_leaves_the_next_instant_unless_it_is_moved(store: Store) -> None:
    add(store, a_row())
    store.schedule(ScheduleWrite(replace(store.one_schedule("s"), next_at=NOON + HOUR)))
    assert store.one_schedule("s").next_at == NOON + MINUTE

    moved = replace(store.one_schedule("s"), next_at=NOON + HOUR)
    store.schedule(ScheduleWrite(moved, moved=True))

    assert store.one_schedule("s").next_at == NOON + HOUR


def test_an_edit_never_fires_backwards(store: Store) -> None:
    add(store, a_row())
    store.passes(minutes=1)
    store.fire()

    again = replace(store.one_schedule("s"), next_at=NOON + MINUTE)
    store.schedule(ScheduleWrite(again, moved=True))

    assert (store.one_schedule("s").next_at, store.one_schedule("s").last_at) == (
        None,
        NOON + MINUTE,
    )
    store.fire()
    assert store.one_schedule("s").next_at == NOON + 2 * MINUTE


def test_what_is_unscheduled_is_gone_with_its_history(store: Store) -> None:
    add(store, a_row(), a_row("other"))
    store.passes(minutes=1)
    store.fire()

    assert store.do(operations.unschedule(["s", "nobody"])) == {"s"}

    assert [row.name for row in store.schedules()] == ["other"]
    assert (store.firings("s"), len(store.firings("other"))) == ([], 1)
    assert len(store.listing()) == 2
    assert store.do(operations.unschedule([])) == set()


def test_schedules_are_listed_by_name_a_page_at_a_time(store: Store) -> None:
    names = [f"{letter}{n}" for letter in ("B", "a", "_") for n in range(3)]
    add(store, *(a_row(name, owner="shop" if name[0] == "a" else None) for name in names))
    add(store, a_row("code", source="code"))
    ordered = sorted([*names, "code"])

    assert [row.name for row in store.schedules()] == ordered
    assert [row.name for row in store.schedules(limit=4)] == ordered[:4]
    assert [row.name for row in store.schedules(after=ordered[3], limit=4)] == ordered[4:8]
    assert [row.name for row in store.schedules(owner="shop")] == ["a0", "a1", "a2"]
    assert [row.name for row in store.schedules(source="code")] == ["code"]
    assert [row.name for row in store.schedules("B1", "nobody", "a2")] == ["B1", "a2"]
    assert store.do(operations.schedules([], now=store.now)) == ([], [], NOON)


def test_an_edit_is_made_again_when_somebody_was_faster(store: Store) -> None:
    add(store, a_row())
    seen = []

    def edited(name: str, row: ScheduleRow | None, now: datetime) -> ScheduleWrite | None:
        seen.append((name, row and row.revision, now))
        if row is None:
            return None
        if len(seen) < 3:
            store.schedule(ScheduleWrite(replace(row, said=row.said + "theirs ")))
        return ScheduleWrite(replace(row, said=row.said + "ours"))

    plan = operations.edit(["s", "a"], edited, now=store.now)
    assert carry_out(plan, store.do) == {"s"}
    assert store.one_schedule("s").said == "theirs ours"
    assert seen == [("a", None, NOON), ("s", 1, NOON), ("s", 2, NOON)]


def test_an_edit_that_never_gets_its_turn_says_so(store: Store) -> None:
    add(store, a_row())

    def edited(name: str, row: ScheduleRow | None, now: datetime) -> ScheduleWrite | None:
        assert row is not None
        store.schedule(ScheduleWrite(row))
        return ScheduleWrite(row)

    with pytest.raises(StoreBusy, match="s: somebody else"):
        carry_out(operations.edit(["s"], edited), store.do)


def test_history_is_forgotten_after_its_time_and_beyond_its_number(store: Store) -> None:
    for n in range(12):
        store.do(operations.fired([Instant("s", NOON + n * MINUTE, "fired")], now=store.now))
        store.passes(days=1)
    store.do(
        operations.fired(
            [Instant("s", NOON + n * HOUR, "fired") for n in range(1, 6)], now=store.now
        )
    )

    assert store.do(operations.forget(kept=timedelta(days=10), now=store.now)) == 2
    assert store.do(operations.forget(kept=timedelta(days=10), most=4, limit=6, now=store.now)) == 6
    assert store.do(operations.forget(kept=timedelta(days=10), most=4, now=store.now)) == 5

    assert [f.instant for f in store.firings("s")] == [NOON + n * HOUR for n in (5, 4, 3, 2)]
