"""The Fetcher: when it looks again, and where."""

from __future__ import annotations

from time import monotonic

import pytest

from pgqueue.operations import ClaimedInTurn, ClaimedJob
from pgqueue.worker.agents.cursor import (
    BOTTOM_SHARE,
    COUNTING_SECONDS,
    FIRST_GAP_SECONDS,
    PAUSE_SECONDS,
    SAMPLES,
    STEADY_GAP_SECONDS,
    Cursor,
)


def test_looks_again_sooner_while_jobs_keep_coming() -> None:
    cursor = Cursor("default", None)
    cursor.idle_since -= 60

    first, *others = [_gap(cursor, [_job(position)]) for position in range(1, 20)]

    assert first == pytest.approx(FIRST_GAP_SECONDS)
    assert min(others) == pytest.approx(STEADY_GAP_SECONDS)


def test_a_pause_does_not_end_a_steady_stream() -> None:
    cursor = _steady()

    gaps = [_gap(cursor, []) for _ in range(5)]
    cursor._found_at -= PAUSE_SECONDS / 2
    gaps += [_gap(cursor, []), _gap(cursor, [_job(1)]), _gap(cursor, [])]

    assert gaps == pytest.approx([STEADY_GAP_SECONDS] * len(gaps))


def test_a_long_pause_does() -> None:
    cursor = _steady()
    cursor._found_at -= PAUSE_SECONDS

    gaps = [_gap(cursor, []) for _ in range(5)]

    assert gaps == pytest.approx([STEADY_GAP_SECONDS * 2**n for n in range(5)])


def test_looks_ever_later_while_there_are_none() -> None:
    cursor = Cursor("default", None)

    gaps = [_gap(cursor, []) for _ in range(10)]

    assert gaps == pytest.approx([FIRST_GAP_SECONDS * 2**n for n in range(10)])


def test_jobs_that_are_handed_over_need_no_looks_between_them() -> None:
    cursor = Cursor("default", None)
    cursor.served_in_turn()

    gaps = [_gap_in_turn(cursor, freed=True) for _ in range(8)]

    assert gaps[0] == pytest.approx(FIRST_GAP_SECONDS)
    assert gaps[-1] == pytest.approx(PAUSE_SECONDS)
    assert _gap_in_turn(cursor, freed=False) == pytest.approx(FIRST_GAP_SECONDS)


def test_counts_no_keys_as_long_as_hardly_any_is_full() -> None:
    cursor = Cursor("default", None)
    cursor.served_in_turn()
    found = ClaimedInTurn([_job(n) for n in range(10)], "k", more=True)
    assert cursor.counting

    cursor.took_in_turn(found, 12, monotonic())
    assert not cursor.counting

    cursor.took_in_turn(found, 30, monotonic())
    cursor.took_in_turn(found, 12, monotonic())
    assert cursor.counting

    cursor._short_at -= COUNTING_SECONDS
    cursor.took_in_turn(found, 12, monotonic())
    assert not cursor.counting


def test_looks_from_the_bottom_as_long_as_that_costs_no_more() -> None:
    """What a transaction that commits late leaves below the floor must not wait for long."""
    cursor = Cursor("default", None)
    for _ in range(SAMPLES):
        _look(cursor, bottom=False, cost=0.01)
        now = _look(cursor, bottom=True, cost=0.01)

    assert cursor.from_bottom(now + 0.001)


def test_looks_seldom_from_a_bottom_that_is_full_of_dead_entries() -> None:
    cursor = Cursor("default", None)
    for _ in range(SAMPLES):
        _look(cursor, bottom=False, cost=0.01)
        now = _look(cursor, bottom=True, cost=0.03)

    assert not cursor.from_bottom(now + 0.02 * (BOTTOM_SHARE - 5))
    assert cursor.from_bottom(now + 0.02 * (BOTTOM_SHARE + 5))


def test_one_look_that_waited_for_a_processor_says_nothing_about_the_bottom() -> None:
    cursor = Cursor("default", None)
    for _ in range(SAMPLES):
        _look(cursor, bottom=False, cost=0.01)
        _look(cursor, bottom=True, cost=0.01)

    now = _look(cursor, bottom=True, cost=5)

    assert cursor.from_bottom(now + 0.001)


def _steady() -> Cursor:
    """Jobs keep coming to it."""
    cursor = Cursor("default", None)
    for position in range(100):
        cursor.took([_job(position)], 100, False, monotonic())
    return cursor


def _look(cursor: Cursor, *, bottom: bool, cost: float) -> float:
    """Takes a job, in an answer that took *cost* seconds; the instant it came."""
    cursor.took([_job(1)], 100, bottom, monotonic() - cost)
    return cursor.idle_since


def _gap(cursor: Cursor, jobs: list[ClaimedJob]) -> float:
    """From an answer of *jobs* until the next look."""
    gap = cursor.gap
    cursor.took(jobs, 100, False, monotonic())
    return cursor.poll_at - cursor.idle_since if jobs else gap


def _gap_in_turn(cursor: Cursor, *, freed: bool) -> float:
    """The wait after a claim in turn that found a job, perhaps because one of ours had ended."""
    if freed:
        cursor.freed()
    cursor.took_in_turn(ClaimedInTurn([_job(1)], "", limited=True), 100, monotonic())
    return cursor.poll_at - cursor.idle_since


def _job(position: int) -> ClaimedJob:
    return ClaimedJob(
        *(position, 0, position, 1, "noop", "{}", 10, None, 0.0, 0),
        *(None, None, None, None, "default", "", None, 1),
    )
