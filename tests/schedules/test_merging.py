"""Code, people and deploys say different things of one schedule: by field, code's news win."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.errors import InvalidSchedule
from pgqueue.jobs.schedules.merging import TIMED, Merged, change, fires_otherwise, merge, reset
from pgqueue.jobs.schedules.rows import Declaration
from pgqueue.jobs.schedules.timing import Timing
from tests.schedules.declarations import NOON, declare

COLUMNS = Declaration.__struct_fields__


def timed(said: str) -> dict[str, Any]:
    timing = Timing.parse(said)
    every = None if timing.every is None else timing.every.total_seconds()
    return {"said": said, "cron": timing.cron, "every_seconds": every, "anchor": None}


def test_a_change_survives_a_deploy_that_says_the_same() -> None:
    changed = change(declare("@daily"), {}, {"jitter_seconds": 60.0, **timed("@hourly")})

    deployed = merge(changed.declared, declare("@daily"), changed.changes)

    assert deployed == changed
    assert deployed.in_force.cron == "0 * * * *"
    assert deployed.in_force.jitter_seconds == 60


def test_what_code_says_anew_wins_and_drops_that_change_alone() -> None:
    changed = change(declare("@daily"), {}, {"jitter_seconds": 60.0, **timed("@hourly")})

    deployed = merge(changed.declared, declare("@weekly"), changed.changes)

    assert deployed.in_force == declare("@weekly", jitter=60)
    assert deployed.changes == {"jitter_seconds": 60.0}


def test_a_timing_changes_as_one() -> None:
    """An interval that somebody has set does not survive beside a new cron text."""
    changed = change(declare("@daily"), {}, timed("@every 5m"))

    assert merge(changed.declared, declare("@weekly"), changed.changes).in_force == declare(
        "@weekly"
    )


def test_a_change_back_is_no_change() -> None:
    changed = change(declare("@daily"), {}, timed("@hourly"))

    assert change(changed.declared, changed.changes, timed("@daily")) == reset(declare("@daily"))


def test_a_row_that_nobody_declared_is_what_code_says() -> None:
    assert merge(None, declare("@daily"), {"zone": "Asia/Tokyo"}) == reset(declare("@daily"))


def test_a_change_that_makes_no_schedule_is_refused() -> None:
    with pytest.raises(InvalidSchedule, match="overlap"):
        change(declare(), {}, {"missed": "all"})
    with pytest.raises(InvalidSchedule, match="ends"):
        change(declare(starts=NOON), {}, {"ends_at": NOON})
    with pytest.raises(InvalidSchedule, match="color: a schedule has no such column"):
        change(declare(), {}, {"color": "red"})
    with pytest.raises(InvalidSchedule, match="fields"):
        change(declare(), {}, {"cron": "0 0 0 0 0 0"})
    with pytest.raises(InvalidSchedule):
        change(declare(), {}, {"jitter_seconds": "long"})


def test_changes_that_do_not_go_with_what_code_says_now_are_dropped() -> None:
    changed = change(declare(), {}, {"missed": "all", "overlap": "allow", "zone": "Asia/Tokyo"})

    deployed = merge(changed.declared, declare(overlap="replace"), changed.changes)
    assert (deployed.in_force.missed, deployed.in_force.overlap) == ("all", "replace")

    again = merge(deployed.declared, declare(overlap="skip"), deployed.changes)
    assert (again.in_force.missed, again.in_force.overlap) == ("latest", "skip")
    assert again.changes == {"zone": "Asia/Tokyo"}


def test_only_another_timing_moves_the_next_instant() -> None:
    assert not fires_otherwise(declare(), declare(jitter=60, overlap="allow"))
    assert not fires_otherwise(declare("@daily"), declare("@daily"))
    assert fires_otherwise(declare("@daily"), declare("@hourly"))
    assert fires_otherwise(declare(), declare(zone="Asia/Tokyo"))
    assert fires_otherwise(declare(), declare(ends=NOON))


news = st.fixed_dictionaries(
    {},
    optional={
        "said": st.sampled_from(["@daily", "@hourly", "@every 5m", "every monday at noon"]),
        "zone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Tokyo"]),
        "missed": st.sampled_from(["latest", "all"]),
        "overlap": st.sampled_from(["next", "allow", "replace"]),
        "jitter": st.sampled_from([0, 30, 60]),
        "catch_up": st.sampled_from([None, 60, 3600]),
        "ends": st.sampled_from([None, NOON]),
    },
)
declarations = news.map(lambda said: declare(**{"overlap": "allow", **said}))


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """Some columns of another declaration, a timing as one."""
    other = msgspec.structs.asdict(draw(declarations))
    columns = draw(st.sets(st.sampled_from(sorted({*COLUMNS} - TIMED))))
    return {column: other[column] for column in columns | draw(st.sampled_from([set(), TIMED]))}


@given(declarations, changes(), changes())
def test_what_is_in_force_is_what_was_declared_and_the_changes(
    declared: Declaration, first: dict[str, Any], second: dict[str, Any]
) -> None:
    once = change(declared, {}, first)
    twice = change(declared, once.changes, second)

    for column in COLUMNS:
        told = {**first, **second}
        expected = told[column] if column in told else getattr(declared, column)
        assert getattr(twice.in_force, column) == expected
    assert change(declared, twice.changes, second) == twice


@given(declarations, declarations, changes())
def test_a_deploy_decides_each_field_by_itself(
    before: Declaration, after: Declaration, new: dict[str, Any]
) -> None:
    changed = change(before, {}, new)
    deployed = merge(before, after, changed.changes)

    said_anew = {c for c in COLUMNS if getattr(before, c) != getattr(after, c)}
    for column in COLUMNS:
        news = said_anew & TIMED if column in TIMED else column in said_anew
        source = after if news or column not in changed.changes else changed.in_force
        assert getattr(deployed.in_force, column) == getattr(source, column)
    assert deployed.declared == after


@given(st.lists(declarations, min_size=1, max_size=4), changes())
def test_the_same_deploy_again_changes_nothing(
    deploys: list[Declaration], new: dict[str, Any]
) -> None:
    merged: Merged = change(deploys[0], {}, new)
    for code in deploys:
        merged = merge(merged.declared, code, merged.changes)

        assert merge(merged.declared, code, merged.changes) == merged
        merged.in_force.check("digest")
    assert reset(merged.declared).in_force == deploys[-1]
