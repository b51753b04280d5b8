"""What a leader does with a row that is due, however late it comes to it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgqueue.errors import InvalidSchedule
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.schedules.firings import (
    MOST_FIRINGS,
    MOST_NOTED,
    jitter_of,
    job_of,
    plan_firings,
    reconsidered,
)
from pgqueue.jobs.schedules.rows import NEVER, Scheduled
from tests.schedules.declarations import NOON, declare, row

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def minutes(*offsets: int) -> list[datetime]:
    return [NOON + offset * MINUTE for offset in offsets]


def fired(plan: Any) -> list[datetime]:
    return [firing.instant for firing in plan.firings]


def test_a_row_without_a_next_instant_fires_nothing_and_gets_one() -> None:
    plan = plan_firings(row(declare()), NOON)

    assert (fired(plan), plan.passed, plan.last_at) == ([], (), None)
    assert [plan.next_at] == minutes(5)


def test_nothing_is_due_yet() -> None:
    plan = plan_firings(row(declare(), next_at=NOON + 5 * MINUTE), NOON)

    assert (fired(plan), [plan.next_at]) == ([], minutes(5))


def test_what_is_due_fires_once() -> None:
    plan = plan_firings(row(declare(), next_at=NOON), NOON + timedelta(milliseconds=3))

    assert plan.firings == (Scheduled(name="digest", instant=NOON),)
    assert (plan.last_at, [plan.next_at]) == (NOON, minutes(5))


def test_of_all_that_was_missed_the_latest_fires_and_counts_the_others() -> None:
    late = row(declare(), last_at=NOON - 5 * MINUTE, next_at=NOON)
    plan = plan_firings(late, NOON + 23 * MINUTE)

    [firing] = plan.firings
    assert [firing.instant] == minutes(20)
    assert (firing.previous, firing.missed) == (NOON - 5 * MINUTE, 4)
    assert (plan.passed, [plan.next_at]) == ((), minutes(25))


def test_a_year_of_minutes_is_one_job() -> None:
    plan = plan_firings(row(declare("* * * * *"), next_at=NOON), NOON + 365 * DAY)

    assert fired(plan) == [NOON + 365 * DAY]
    assert plan.firings[0].missed == MOST_FIRINGS


def test_catch_up_bounds_how_late_the_latest_may_be() -> None:
    for late, fires in ((30 * MINUTE, True), (31 * MINUTE, False)):
        plan = plan_firings(row(declare("@daily", catch_up=1800), next_at=NOON), NOON + late)

        assert fired(plan) == [NOON] * fires
        assert plan.passed == (NOON,) * (not fires)
        assert plan.last_at == NOON


def test_all_that_was_missed_fires_oldest_first() -> None:
    plan = plan_firings(row(declare(missed="all"), next_at=NOON), NOON + 17 * MINUTE)

    assert fired(plan) == minutes(0, 5, 10, 15)
    assert [firing.previous for firing in plan.firings] == [None, *minutes(0, 5, 10)]
    assert [plan.next_at] == minutes(20)


def test_a_thousand_fire_in_one_pass_and_the_others_in_the_next() -> None:
    now = NOON + 1300 * MINUTE
    late = row(declare("* * * * *", missed="all"), next_at=NOON)
    first = plan_firings(late, now)
    second = plan_firings(row(late, last_at=first.last_at, next_at=first.next_at), now)

    assert fired(first) == minutes(*range(1000))
    assert fired(second) == minutes(*range(1000, 1301))
    assert second.next_at > now


def test_all_goes_back_a_day_and_no_further() -> None:
    plan = plan_firings(row(declare("@hourly", missed="all"), next_at=NOON), NOON + 3 * DAY)

    assert fired(plan) == [NOON + 2 * DAY + n * HOUR for n in range(25)]
    assert plan.passed == tuple(NOON + n * HOUR for n in range(48))


def test_what_is_passed_over_is_noted_up_to_a_hundred() -> None:
    plan = plan_firings(row(declare("* * * * *", missed="skip"), next_at=NOON), NOON + 9 * DAY)

    assert fired(plan) == [NOON + 9 * DAY - MINUTE, NOON + 9 * DAY]
    assert len(plan.passed) == MOST_NOTED
    assert plan.passed[-1] == NOON + 9 * DAY - 2 * MINUTE


def test_skip_passes_over_what_is_more_than_a_minute_late() -> None:
    for late, fires in ((60, True), (61, False)):
        due = row(declare("@daily", missed="skip"), next_at=NOON)
        plan = plan_firings(due, NOON + timedelta(seconds=late))

        assert fired(plan) == [NOON] * fires
        assert plan.passed == (NOON,) * (not fires)


def test_never_fires_from_its_end_on() -> None:
    ending = declare(missed="all", ends=NOON + 10 * MINUTE)
    plan = plan_firings(row(ending, next_at=NOON), NOON + DAY)

    assert fired(plan) == minutes(0, 5)
    assert plan.next_at == NEVER
    over = plan_firings(row(ending, next_at=NOON + 10 * MINUTE), NOON + DAY)
    assert (fired(over), over.next_at) == ([], NEVER)


def test_fires_from_its_start_on() -> None:
    starting = declare(starts=NOON + 10 * MINUTE)

    assert [plan_firings(row(starting), NOON).next_at] == minutes(10)
    assert [plan_firings(row(starting), NOON + 10 * MINUTE).next_at] == minutes(15)


def test_an_instant_that_is_none_of_the_timing_fires_all_the_same() -> None:
    """The first one, where it was to fire immediately."""
    odd = NOON + timedelta(seconds=12)
    plan = plan_firings(row(declare(), next_at=odd), odd)

    assert (fired(plan), [plan.next_at]) == ([odd], minutes(5))
    late = plan_firings(row(declare(), next_at=odd), NOON + 4 * MINUTE)
    assert fired(late) == [odd]


def test_a_clock_that_goes_back_repeats_nothing() -> None:
    fast = row(declare(), last_at=NOON, next_at=NOON)
    plan = plan_firings(fast, NOON - HOUR)

    assert (fired(plan), [plan.next_at]) == ([], minutes(5))
    assert [reconsidered(row(declare(), last_at=NOON), NOON - HOUR)] == minutes(5)


def test_a_new_leader_computes_anew_what_is_not_due_yet() -> None:
    assert [reconsidered(row(declare(), next_at=NOON + 7 * HOUR), NOON)] == minutes(5)
    assert reconsidered(row(declare(), next_at=NOON - HOUR), NOON) == NOON - HOUR


def test_a_row_that_cannot_be_read_is_refused() -> None:
    broken = row(declare(), next_at=NOON)
    broken = msgspec.structs.replace(broken, cron="0 0 0 0 0 0")
    with pytest.raises(InvalidSchedule, match=r"digest: .* fields"):
        plan_firings(broken, NOON)


timings = st.sampled_from(["* * * * *", "*/7 * * * *", "@hourly", "@every 90s", "@every 13m"])


@settings(max_examples=300, deadline=None)
@given(
    timings,
    st.sampled_from(["latest", "all", "skip"]),
    st.sampled_from([None, 1, 300, 7200]),
    st.integers(0, 3 * 3600),
    st.none() | st.integers(-3600, 4 * 3600),
)
def test_does_what_a_list_of_all_instants_says(
    said: str, missed: Any, catch_up: float | None, late: int, ends: int | None
) -> None:
    if missed == "skip":
        catch_up = None
    declared = declare(
        said,
        missed=missed,
        catch_up=catch_up,
        ends=None if ends is None else NOON + timedelta(seconds=ends),
    )
    now = NOON + timedelta(seconds=late)
    before = NOON - timedelta(microseconds=1)
    due_row = row(declared, last_at=before, next_at=declared.first_after(before))
    end = declared.ends_at or NEVER
    due = list(declared.timing().instants(NOON, min(end, now + DAY)))
    due, coming = [d for d in due if d <= now], [d for d in due if d > now]
    horizon = now - timedelta(seconds={"skip": 60, "all": 86400, "latest": 10**9}[missed])
    if catch_up is not None:
        horizon = now - timedelta(seconds=catch_up)

    plan = plan_firings(due_row, now)

    worth = [each for each in due if each >= horizon]
    if missed == "latest":
        assert fired(plan) == worth[-1:]
        assert plan.passed == (() if worth else tuple(due[-1:]))
        assert all(firing.missed == len(due) - 1 for firing in plan.firings)
    else:
        assert fired(plan) == worth[:MOST_FIRINGS]
        assert plan.passed == tuple(each for each in due if each < horizon)[-MOST_NOTED:]
    assert plan.last_at == (due[-1] if due else before)
    assert plan.next_at == (coming[0] if coming else NEVER)
    again = plan_firings(row(declared, last_at=plan.last_at, next_at=plan.next_at), now)
    assert (again.firings, again.passed) == ((), ())


def test_the_job_knows_what_it_is_for() -> None:
    job = NewJob[Any]("digest", '{"kind":"daily"}', queue="mail", metadata='{"team":"a"}')
    element = json.loads(job_of(row(declare(job=job)), Scheduled(name="digest", instant=NOON)))

    assert element["task"] == "digest"
    assert element["args"] == {"kind": "daily"}
    assert element["unique_key"] == "schedule/digest"
    assert element["metadata"]["team"] == "a"
    assert element["metadata"]["schedule"]["instant"] == "2026-06-15T12:00:00Z"
    assert "run_at" not in element


def test_a_job_with_a_key_of_its_own_keeps_it() -> None:
    keyed = declare(job=NewJob[Any]("digest").options(unique="mine"))
    element = json.loads(job_of(row(keyed), Scheduled(name="digest", instant=NOON)))

    assert element["unique_key"] == "mine"


def test_a_job_that_may_overlap_has_no_key() -> None:
    firing = Scheduled(name="digest", instant=NOON)

    assert "unique_key" not in json.loads(job_of(row(declare(overlap="allow")), firing))


def test_jitter_delays_the_job_but_not_one_that_somebody_asks_for() -> None:
    spread = row(declare(jitter=60))
    element = json.loads(job_of(spread, Scheduled(name="digest", instant=NOON)))

    delay = datetime.fromisoformat(element["run_at"]) - NOON
    assert delay == jitter_of("digest", NOON, MINUTE)
    asked = json.loads(job_of(spread, Scheduled(name="digest", instant=NOON, manual=True)))
    assert "run_at" not in asked


def test_jitter_is_the_same_in_every_process() -> None:
    code = (
        "from datetime import datetime, timedelta, timezone\n"
        "from pgqueue.jobs.schedules.firings import jitter_of\n"
        "noon = datetime(2026, 6, 15, 14, tzinfo=timezone(timedelta(hours=2)))\n"
        "print(jitter_of('digest', noon, timedelta(hours=1)))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert other.stdout.strip() == str(jitter_of("digest", NOON, HOUR))


def test_jitter_spreads_evenly_and_stays_below() -> None:
    found = [jitter_of(f"s{n}", NOON, MINUTE) for n in range(1000)]

    assert all(timedelta(0) <= each < MINUTE for each in found)
    by_quarter = [sum(1 for each in found if each // (MINUTE / 4) == n) for n in range(4)]
    assert min(by_quarter) > 200
    assert jitter_of("digest", NOON, timedelta(0)) == timedelta(0)
    assert len({jitter_of("digest", NOON + n * DAY, MINUTE) for n in range(100)}) == 100


def test_instants_are_in_utc() -> None:
    assert NOON.tzinfo is UTC
    assert plan_firings(row(declare(zone="Asia/Tokyo")), NOON).next_at.tzinfo is UTC
