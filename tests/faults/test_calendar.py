"""The rules of schedules and of limits, one by one: all is well, and what must not pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.faults.facts import (
    AFTERMATH,
    Backfill,
    Calendar,
    Crowd,
    Firing,
    Job,
    Made,
    Start,
    Turn,
    Worker,
)
from tests.faults.journal import Line
from tests.faults.lapses import remembered
from tests.faults.test_checker import Story
from tests.faults.timetable import EPOCH, Entry, When, key

EVERY = When(every=4.0)
OTHER = When(every=4.0, offset=1.0)
ENTRIES = (
    Entry("held", EVERY, missed="all", overlap="allow"),
    Entry("latest", EVERY, other=OTHER),
    Entry("all", EVERY, missed="all", overlap="allow", catch_up=6.0, other=OTHER),
    Entry("newest", EVERY, overlap="replace", seconds=12.0),
)


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


class Days(Story):
    """All schedules are declared at 1 and have caught up at 30; what fires does so at once."""

    def __init__(self) -> None:
        super().__init__()
        self.workers += [Worker("w3", 2, 0.0), Worker("w4", 2, 0.0)]
        self.turns: list[Turn] = []
        self.firings: list[Firing] = []
        self.crowds: list[Crowd] = []
        self.starts: list[Start] = []
        self.true = True
        self.backfills: list[Backfill] = []
        self.newest: tuple[float, ...] = (4, 8, 12, 16, 20, 24, 28)
        self._last: dict[str, datetime] = {}
        for entry in ENTRIES:
            self.turn(entry.name, "declared", 1.0)

    def turn(self, name: str, what: Any, since: float, until: float | None = None) -> None:
        self.turns.append(Turn(name, what, since, until or since))

    def fire(
        self, name: str, *instants: float, outcome: str = "fired", late: float = 0, missed: int = 0
    ) -> None:
        for seconds in instants:
            instant = at(seconds)
            id = (5000 if name == "newest" else 1000) + len(self.firings)
            with_job = outcome in ("fired", "manual", "backfill")
            self.firings.append(Firing(name, instant, outcome, id, at(seconds + late)))
            if with_job:
                by_hand = outcome == "backfill"
                made = Made(name, instant, self._last.get(name), missed, by_hand, instant)
                number = key(name, instant)
                self.jobs.append(Job(id, number, "completed", f"run{id}", made))
                about = (
                    {"all": "w2", "held": "w3", "newest": "w4"}.get(name, "w1"),
                    f"run{id}",
                    id,
                    number,
                    "async",
                )
                self.lines.append(Line(seconds + late + 0.1, "start", *about))
                self.lines.append(Line(seconds + late + 0.2, "end", *about))
            self._last[name] = instant

    @property
    def facts(self) -> Any:
        mine = self.jobs, self.lines, self.firings
        self.jobs, self.lines, self.firings = map(list, mine)  # type: ignore[assignment]
        self.fire("newest", *self.newest)
        for entry in ENTRIES:
            self.turn(entry.name, "caught up", 30.0)
            self.turn(entry.name, "paused", 30.0, 30.1)
        entries = {entry.name: entry for entry in ENTRIES}
        calendar = Calendar(
            entries, self.turns, self.firings, backfills=self.backfills, true=self.true
        )
        facts = replace(super().facts, calendar=calendar, crowds=self.crowds, starts=self.starts)
        self.jobs, self.lines, self.firings = mine
        return remembered(facts)


@pytest.fixture
def days() -> Days:
    days = Days()
    days.fire("all", 4, 8, 12, 16, 20, 24, 28)
    days.fire("held", 4, 8, 12, 16, 20, 24, 28)
    return days


@pytest.fixture
def well(days: Days) -> Days:
    days.fire("latest", 4, 8, 12, 16)
    days.fire("latest", 28, late=1, missed=2)
    return days


def test_finds_nothing_wrong_when_all_is_well(well: Days) -> None:
    assert well.broken == set()


@pytest.mark.parametrize("true", [True, False])
def test_a_run_that_was_asked_for_and_skipped(well: Days, true: bool) -> None:
    well.true = true
    well.fire("latest", 21.5, outcome="skipped")
    assert well.broken == {"timely"}
    well.turn("latest", "run", 21.0, 22.0)
    assert well.broken == set()


def test_an_instant_without_a_firing(days: Days) -> None:
    days.fire("latest", 4, 8, 12, 16, 20, 24, 28)
    del days.firings[2], days.jobs[2]
    assert days.broken == {"phantom", "unfired"}


def test_the_last_instant_is_lost(days: Days) -> None:
    days.fire("latest", 4, 8, 12, 16, 20, 24)
    assert days.broken == {"unfired"}


def test_a_job_that_forgets_what_was_missed_before_it(days: Days) -> None:
    days.fire("latest", 4, 8, 12, 16)
    days.fire("latest", 28, missed=1)
    assert days.broken == {"unfired"}


def test_a_firing_without_its_job_or_a_job_without_its_firing(well: Days) -> None:
    job = well.jobs.pop()
    assert well.broken == {"fired", "phantom"}
    well.jobs += [job, replace(job, id=2000)]
    assert "fired" in well.broken


def test_a_job_that_is_not_noted(well: Days) -> None:
    well.firings.pop()
    assert well.broken >= {"fired", "unfired"}


def test_what_is_no_instant_of_it(well: Days) -> None:
    well.fire("all", 9)
    assert well.broken == {"timely"}


def test_what_fires_before_its_time(well: Days) -> None:
    well.firings[0] = replace(well.firings[0], fired_at=at(3.9))
    assert well.broken == {"timely"}


def test_a_run_before_its_time(well: Days) -> None:
    well.lines[0] = replace(well.lines[0], at=3.0)
    assert well.broken == {"timely"}


def test_what_is_passed_over_was_too_late(days: Days) -> None:
    days.fire("latest", 4, 8, 12, 16, 20, 24, 28)
    days.firings[1] = replace(days.firings[1], outcome="missed", job=None, fired_at=at(15))
    job = days.jobs.pop(1)
    days.lines = [line for line in days.lines if line.job != job.id]
    assert days.broken == set()
    days.firings[1] = replace(days.firings[1], fired_at=at(13))
    assert days.broken == {"timely"}


def test_a_paused_schedule_does_not_fire(days: Days) -> None:
    days.turn("latest", "paused", 9.0, 9.5)
    days.turn("latest", "resumed", 21.0, 21.5)
    days.fire("latest", 4, 8, 24, 28)
    assert days.broken == set()
    days.fire("latest", 16)
    assert days.broken == {"timely"}


def test_a_pause_that_is_made_up_for(days: Days) -> None:
    days.turn("latest", "paused", 9.0, 9.5)
    days.turn("latest", "made up", 21.0, 21.5)
    days.fire("latest", 4, 8)
    days.fire("latest", 20, late=1.5, missed=2)
    days.fire("latest", 24, 28)
    assert days.broken == set()
    days.firings[-3] = replace(days.firings[-3], fired_at=at(20.5))
    assert days.broken == {"timely"}


def test_a_change_fires_by_what_it_says_from_then_on(days: Days) -> None:
    days.turn("latest", "other", 10.0, 10.5)
    days.fire("latest", 4, 8, 13, 17, 21, 25, 29)
    assert days.broken == set()
    days.fire("latest", 12)
    assert days.broken == {"timely"}


def test_what_was_done_with_schedules_is_forgotten_with_the_store(days: Days) -> None:
    days.fault("restored", 9, 15, forgot_since=10)
    days.turn("latest", "paused", 11.0)
    days.fire("latest", 4, 8)
    days.fire("latest", 12, late=3.5)
    days.fire("latest", 16, 20, 24, 28)
    assert days.broken == set()


def test_what_is_late_behind_a_row_that_is_not_its_own(well: Days) -> None:
    well.firings[7] = replace(well.firings[7], fired_at=at(20))
    assert well.broken == set()
    well.fault("held", 3, 22, held=frozenset(), robs=False, schedule="held")
    assert well.broken == set()
    well.faults[0] = replace(well.faults[0], schedule="all", touched=frozenset())
    assert well.broken == {"delayed"}


def test_jobs_that_must_not_overlap(well: Days) -> None:
    well.lines = [
        replace(line, at=9.0) if line.job == well.firings[14].job and line.what == "end" else line
        for line in well.lines
    ]
    assert well.broken == {"overlapping"}


def test_more_jobs_than_may_run(well: Days) -> None:
    well.crowds = [Crowd("api", None, 6, 5), Crowd("api", "k1", 2, 5), Crowd("line", "k2", 1, 5)]
    assert well.broken == set()
    well.crowds += [Crowd("api", "k2", 3, 6)]
    assert well.broken == {"crowded"}
    well.crowds = [Crowd("line", "k2", 2, 7)]
    assert well.broken == {"crowded"}


def test_limits_that_the_store_had_forgotten() -> None:
    story = Days()
    story.fault("flushed", 9, 9.1, forgot_since=0.0)
    story.crowds = [Crowd("api", "k1", 3, 10)]
    assert "crowded" not in story.broken
    story.crowds = [Crowd("api", "k1", 3, 9.1 + AFTERMATH + 1)]
    assert "crowded" in story.broken


def test_more_starts_than_a_rate_allows(well: Days) -> None:
    well.starts = [Start(n, "api", "k1", at(5 + n / 20)) for n in range(12)]
    well.starts += [Start(13, "api", "k1", at(6.51))]
    assert well.broken == set()
    well.starts += [Start(14, "api", "k1", at(6.49))]
    assert well.broken == {"rated"}


def test_an_ordered_queue_out_of_order(well: Days) -> None:
    well.order(3, executor="file")
    well.order(6, executor="file")
    well.run(3, 2, 2.9)
    well.run(6, 3, 3.5)
    assert well.broken == set()
    well.lines[-2] = replace(well.lines[-2], at=2.5)
    assert well.broken == {"ordered"}


def test_a_pause_that_is_made_up_for_by_hand(days: Days) -> None:
    days.turn("latest", "paused", 9.0, 9.5)
    days.turn("latest", "resumed", 21.0, 22.0)
    days.fire("latest", 4, 8, 24, 28)
    days.fire("latest", 12, 16, outcome="backfill", late=10)
    asked = Backfill("latest", EVERY, at(9.2), at(20), 22.0)
    assert days.broken == {"backfilled"}
    days.backfills = [asked]
    assert days.broken == set()
    days.backfills = [replace(asked, since=at(16)), replace(asked, told_at=None)]
    assert days.broken == set()
    days.backfills = [replace(asked, since=at(8), until=at(20.1))]
    assert days.broken == {"backfilled"}


def test_what_was_made_up_for_twice(days: Days) -> None:
    days.turn("latest", "paused", 9.0, 9.5)
    days.turn("latest", "resumed", 21.0, 22.0)
    days.fire("latest", 4, 8, 24, 28)
    days.fire("latest", 12, 12, outcome="backfill", late=10)
    days.backfills = [Backfill("latest", EVERY, at(9.2), at(16), 22.0)]
    assert days.broken == {"fired"}


def newest(days: Days, *ends: tuple[float, Any]) -> None:
    """Its jobs begin when they are due, and end so long after that, in that way."""
    days.fire("newest", *days.newest)
    days.newest = ()
    for job, (seconds, how) in zip(days.jobs[-7:], ends, strict=False):
        number = days.jobs.index(job)
        if how == "interrupted":
            days.jobs[number] = replace(job, state="cancelled", result=None)
        days.lines = [
            replace(line, at=line.at - 0.2 + seconds, what=how)
            if line.job == job.id and line.what == "end"
            else line
            for line in days.lines
        ]


@pytest.mark.parametrize(
    ("ends", "broken"),
    [
        ([(4.05, "interrupted"), (4.05, "interrupted")], set()),
        ([(4.5, "interrupted")], {"overlapping"}),
        ([(11.0, "end")], {"replaced", "overlapping"}),
        ([(0.2, "end")] * 6 + [(1.0, "interrupted")], {"replaced"}),
    ],
    ids=["stopped", "beside the newer one", "goes on", "no newer one"],
)
def test_the_newer_job_replaces_the_older_one(well: Days, ends: Any, broken: set[str]) -> None:
    well.workers = [replace(worker, concurrency=9) for worker in well.workers]
    newest(well, *ends)
    assert well.broken == broken


def test_nothing_skips_the_newest(well: Days) -> None:
    well.newest = (4, 8, 12, 16, 20, 24)
    well.fire("newest", 28, outcome="skipped")
    assert well.broken == {"fired"}
