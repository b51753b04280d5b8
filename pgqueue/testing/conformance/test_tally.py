"""tally, tallied, fold: what workers have counted, and its sums."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pgqueue.jobs.tally import Series
from pgqueue.operations import tallying
from pgqueue.operations.gauging import LOOKS, QUEUE_ITSELF, RUNNING, WAITING, gauging
from pgqueue.operations.tallying import (
    AHEAD,
    HOUR,
    MINUTE,
    TallyRow,
    fold,
    folding,
    summing,
    tallied,
    tally,
)
from pgqueue.testing.conformance.store import NOON, Store, a_job


def counted(number: int, *, queue: str = "mail", task: str = "send") -> Series:
    series = Series(queue, task)
    series.count("completed", number)
    series.ran.add(0.25, number)
    series.waited.add(1e-5)
    return series


def row(number: int, at: datetime = NOON, *, by: int = 1, task: str = "send") -> TallyRow:
    return TallyRow(at, MINUTE, by, counted(number, task=task))


def noted(store: Store, since: datetime, *, span: timedelta = MINUTE) -> list[TallyRow]:
    return store.do(tallied(since, NOON + HOUR, span=span))


def summed(store: Store, now: datetime) -> int:
    return store.carry(folding(now))


def test_what_is_noted_is_read_again(store: Store) -> None:
    rows = [row(3), row(4, task='a "b"'), row(5, NOON + MINUTE)]
    store.do(tally(rows))

    assert noted(store, NOON) == sorted(rows, key=lambda r: (r.at, r.worker, r.series.task))
    assert noted(store, NOON + MINUTE) == rows[2:]
    assert store.do(tallied(NOON, NOON + MINUTE, queue="other")) == []
    assert len(store.do(tallied(NOON, NOON + HOUR, limit=2))) == 2


def test_a_minute_that_is_noted_twice_counts_once(store: Store) -> None:
    store.do(tally([row(3)]))
    store.do(tally([row(7)]))

    assert noted(store, NOON) == [row(7)]


def test_settled_minutes_of_all_workers_become_one(store: Store) -> None:
    fresh = row(9, NOON + 9 * MINUTE)
    store.do(tally([row(3, by=1), row(4, by=2), row(1, by=2, task="other"), fresh]))

    assert summed(store, NOON + 10 * MINUTE) == 3

    first, second, last = noted(store, NOON)
    assert (first.worker, second.worker, last) == (0, 0, fresh)
    assert {r.series.task: r.series.outcomes["completed"] for r in (first, second)} == {
        "send": 7,
        "other": 1,
    }
    assert sum(first.series.ran.counts.values()) in (7, 1)
    assert summed(store, NOON + 10 * MINUTE) == 0


def test_a_row_that_comes_late_is_added_to_the_sum(store: Store) -> None:
    store.do(tally([row(3)]))
    summed(store, NOON + 10 * MINUTE)
    store.do(tally([row(4, by=2)]))
    summed(store, NOON + 20 * MINUTE)

    [total] = noted(store, NOON)
    assert (total.worker, total.series.outcomes) == (0, {"completed": 7})


def test_old_minutes_become_hours_and_old_hours_go(store: Store) -> None:
    old = NOON - timedelta(days=3)
    store.do(tally([row(3, old), row(4, old + MINUTE, by=2), row(5, old + HOUR)]))
    summed(store, NOON)
    store.do(tally([row(1, old + 2 * MINUTE)]))
    summed(store, NOON)

    assert noted(store, old) == []
    hours = noted(store, old, span=HOUR)
    assert [(r.at, r.series.outcomes["completed"]) for r in hours] == [(old, 8), (old + HOUR, 5)]

    summed(store, NOON + timedelta(days=100))
    assert noted(store, old, span=HOUR) == []


def test_folding_goes_on_until_nothing_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few rows are read at a time: sums that exist already do not hide new rows."""
    monkeypatch.setattr(tallying, "PORTION", 3)
    old = NOON - timedelta(days=3)
    rows = [
        row(1, begin + n * MINUTE, by=worker, task=task)
        for begin in (old, NOON)
        for n in range(4)
        for worker in (1, 2)
        for task in "ab"
    ]
    store.do(tally(rows))

    assert summed(store, NOON + 20 * MINUTE) == 32 + 6  # earlier sums of the hour go, too
    store.do(tally([row(1, NOON + 15 * MINUTE, by=worker) for worker in (1, 2)]))
    assert summed(store, NOON + 25 * MINUTE) == 2
    assert summed(store, NOON + 25 * MINUTE) == 0

    hours = noted(store, old, span=HOUR)
    assert [(r.series.task, r.series.outcomes["completed"]) for r in hours] == [("a", 8), ("b", 8)]
    minutes = [r.series.outcomes["completed"] for r in noted(store, NOON)]
    assert minutes == [2] * 9


def test_hours_are_summed_up_while_their_minutes_are_kept(store: Store) -> None:
    before = NOON - 3 * HOUR
    store.do(tally([row(3, before), row(4, before + MINUTE, by=2), row(5, NOON - MINUTE)]))

    assert store.carry(summing(NOON)) == 1  # the last hour is not over for every worker
    assert store.carry(summing(NOON + 5 * MINUTE)) == 1
    assert store.carry(summing(NOON + 5 * MINUTE)) == 1  # once more, with the same answer

    hours = noted(store, before, span=HOUR)
    assert [(r.at, r.worker, r.series.outcomes["completed"]) for r in hours] == [
        (before, AHEAD, 7),
        (NOON - HOUR, AHEAD, 5),
    ]
    assert len(noted(store, before)) == 3


def test_hours_of_very_many_tasks_are_summed_up_whole_and_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few rows are read at a time: fewer than an hour has, or a minute."""
    monkeypatch.setattr(tallying, "PORTION", 2)
    hours = [NOON - ago * HOUR for ago in (6, 5, 4)]
    store.do(tally([row(3, at, task=task) for at in hours for task in "abcde"]))

    assert store.carry(summing(NOON)) == 15
    assert store.carry(summing(NOON)) == 0

    sums = noted(store, hours[0], span=HOUR)
    assert [(r.at, r.series.task) for r in sums] == [(at, task) for at in hours for task in "abcde"]


def test_a_sum_that_was_noted_ahead_counts_no_job_twice(store: Store) -> None:
    store.do(tally([row(3), row(4, NOON + MINUTE, by=2)]))
    store.carry(summing(NOON + 2 * HOUR))
    later = NOON + timedelta(days=3)

    summed(store, later)
    summed(store, later)
    assert store.carry(summing(later)) == 0

    [hour] = noted(store, NOON, span=HOUR)
    assert (hour.worker, hour.series.outcomes) == (0, {"completed": 7})
    assert noted(store, NOON) == []


def test_how_queues_are_is_noted_and_summed_up_like_all_else(store: Store) -> None:
    store.enqueue(
        *(a_job(queue="mail") for _ in range(5)), a_job(queue="later", run_at=NOON + HOUR)
    )
    store.claim(2, queue="mail")
    old = NOON - timedelta(days=3)

    assert store.carry(gauging(old + timedelta(seconds=30))) == 2
    assert store.carry(gauging(old + timedelta(seconds=40))) == 2  # the same minute, once
    assert store.carry(gauging(old + MINUTE)) == 2

    first, *_ = noted(store, old)
    assert (first.at, first.worker, first.series.task) == (old, 0, QUEUE_ITSELF)
    assert {r.series.queue: r.series.outcomes for r in noted(store, old)} == {
        "mail": {LOOKS: 1, WAITING: 3, RUNNING: 2},
        "later": {LOOKS: 1, WAITING: 0, RUNNING: 0},
    }
    summed(store, NOON)
    assert {r.series.queue: r.series.outcomes for r in noted(store, old, span=HOUR)} == {
        "mail": {LOOKS: 2, WAITING: 6, RUNNING: 4},
        "later": {LOOKS: 2, WAITING: 0, RUNNING: 0},
    }


def test_who_finds_a_row_gone_folds_nothing(store: Store) -> None:
    rows = [row(3, by=1), row(4, by=2)]
    store.do(tally(rows))
    total = TallyRow(NOON, MINUTE, 0, counted(7))

    assert not store.do(fold([*rows, row(1, by=3)], [total], NOON))
    assert noted(store, NOON) == rows
    assert store.do(fold(rows, [total], NOON))
    assert not store.do(fold(rows, [total], NOON))
    assert noted(store, NOON) == [total]
