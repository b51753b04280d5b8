"""What can be declared, and how it is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from pgqueue.errors import InvalidSchedule
from pgqueue.jobs.job import Handle, NewJob
from pgqueue.jobs.schedules.rows import ScheduleRow, new_job
from pgqueue.jobs.schedules.schedule import Schedule
from pgqueue.jobs.schedules.timing import Timing
from pgqueue.jobs.unique import Unique
from tests.schedules.declarations import NOON, declare, row, schedule

DIGEST = NewJob[Any]("digest")


@pytest.mark.parametrize(
    ("options", "because"),
    [
        ({"missed": "all", "overlap": "skip"}, 'digest: overlap: with missed="all"'),
        ({"missed": "skip", "catch_up": 60}, "digest: catch_up: "),
        ({"missed": "some"}, "digest: missed: 'some'; give one of latest, all, skip"),
        ({"overlap": "some"}, "digest: overlap: 'some'; give one of skip, next, allow, replace"),
        ({"jitter": -1}, "digest: jitter: -1.0 s is negative"),
        ({"catch_up": 0}, "digest: catch_up: 0 s leaves no time"),
        ({"catch_up": "an hour"}, "digest: catch_up: 'an hour' is neither"),
        ({"starts": NOON.replace(tzinfo=None)}, "digest: starts: .* has no time zone"),
        ({"ends": "tomorrow"}, "digest: ends: 'tomorrow' is not a datetime"),
        ({"starts": NOON, "ends": NOON}, "digest: ends: it ends before it starts"),
        ({"job": "digest"}, r"digest: job: 'digest' is no job; give task.job\(...\)"),
        ({"job": DIGEST.options(delay=5)}, "digest: job: .* cannot have delay"),
        ({"job": DIGEST.options(run_at=NOON)}, "digest: job: .* cannot have run_at"),
        ({"job": DIGEST.after(Handle(7, "x"))}, "digest: job: .* cannot have edges"),
        ({"job": DIGEST.options(unique=Unique(key="k", until=60))}, r"has no Unique\(...\); see"),
        ({"job": DIGEST.options(unique="k"), "overlap": "allow"}, "digest: overlap: the job has"),
        ({"job": DIGEST.options(unique="k"), "missed": "all"}, "digest: overlap: the job has"),
    ],
)
def test_refuses_when_it_is_declared(options: dict[str, Any], because: str) -> None:
    with pytest.raises(InvalidSchedule, match=because):
        schedule(**options)


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 129, 7])
def test_refuses_a_name_that_is_none(name: Any) -> None:
    with pytest.raises(InvalidSchedule, match="schedule: name: "):
        Schedule(name, Timing.parse("@daily"), DIGEST)


def test_overlaps_are_skipped_unless_all_that_was_missed_is_made_up_for() -> None:
    assert declare().overlap == "skip"
    assert declare(missed="skip").overlap == "skip"
    assert declare(missed="all").overlap == "allow"
    assert declare(missed="all", overlap="next").overlap == "next"


JOB = NewJob[Any](
    "digest",
    '{"a":[1,2.5,"ü"],"b":null}',
    queue="mail",
    priority=-5,
    max_attempts=3,
    timeout=timedelta(seconds=30),
    unique="mine",
    key="tenant-7",
    tags=("x", "y"),
    metadata='{"why":1}',
    expires=timedelta(minutes=5),
    keep=False,
)
NOT_OF_A_SCHEDULE = {"schema", "on_enqueue", "edges", "run_at", "delay", "uniqueness"}


def test_everything_that_a_job_has_is_tried() -> None:
    for name in set(NewJob.__struct_fields__) - NOT_OF_A_SCHEDULE - {"task"}:
        assert getattr(JOB, name) != getattr(DIGEST, name), name


@pytest.mark.parametrize("job", [DIGEST, JOB], ids=["plain", "with everything"])
def test_the_job_comes_back_as_it_was(job: NewJob[Any]) -> None:
    again = new_job(declare(job=job).job)
    fields = [name for name in NewJob.__struct_fields__ if name not in ("schema", "on_enqueue")]

    assert [getattr(again, f) for f in fields] == [getattr(job, f) for f in fields]


def test_a_row_comes_back_as_it_was_through_json() -> None:
    declared = declare(
        timedelta(seconds=15), zone="Asia/Tokyo", job=JOB, jitter=7.5, starts=NOON, catch_up=60
    )
    kept = row(declared, last_at=NOON)

    assert msgspec.json.decode(msgspec.json.encode(kept), type=ScheduleRow) == kept
    assert kept.timing().next_after(NOON) == NOON + timedelta(seconds=15)


@pytest.mark.parametrize(
    ("columns", "because"),
    [
        ({"said": "every foo"}, "'foo' is not understood"),
        ({"zone": "Mordor"}, "Mordor"),
        ({"cron": "@daily"}, "five"),
        ({"cron": "* * * * *", "every_seconds": 5}, "not both"),
        ({"job": {"args": {}}}, "task"),
        ({"job": {"task": "digest", "color": "red"}}, "color"),
        ({"job": {"task": "digest", "priority": 10**9}}, "priority"),
        ({"job": {"task": "digest", "edges": [1]}}, "edges"),
    ],
    ids=str,
)
def test_a_row_that_makes_no_schedule_is_refused(columns: dict[str, Any], because: str) -> None:
    given = {"name": "digest", "said": "@daily", "job": {"task": "digest"}, **columns}
    written = msgspec.convert(given, ScheduleRow)
    with pytest.raises(InvalidSchedule, match=because):
        written.check("digest")
