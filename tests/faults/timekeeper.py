"""The timekeeper: puts schedules into the store, pauses, changes and runs them, as people do."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any, Literal

from pgqueue.errors import PgqueueError, StoreBusy, StoreUnavailable, UnknownSchedule
from pgqueue.jobs.schedules.rows import ScheduleRow
from pgqueue.operations import Schedules, firings, schedules
from tests.faults.agent import Agent
from tests.faults.facts import Backfill, Calendar, Firing, Turn
from tests.faults.shop import ringing
from tests.faults.timetable import ENTRIES, Entry

MOST = 1_000
SETTLED_SECONDS = 90.0  # until all that is due has fired, once nothing is broken any more
What = Literal["declared", "paused", "resumed", "made up", "other", "own", "run", "caught up"]


class Timekeeper(Agent):
    """A thread. It believes only what the store shows, and notes what it did and when.

    *still*: nobody changes anything meanwhile; a store that goes back undoes what was changed.
    """

    def __init__(
        self, site: Any, random: Random, still: Callable[[], AbstractContextManager[None]]
    ) -> None:
        super().__init__()
        self._site = site
        self._random = random
        self._still = still
        self._app = site.app()
        self._created: dict[str, datetime | None] = {}
        self._turns: list[Turn] = []
        self._entries: dict[str, Entry] = {}
        self._now_at = time.time() - time.monotonic()
        self._behind: list[str] = []
        self._backfills: list[Backfill] = []

    def rest(self) -> None:
        """Lets all schedules rest, once they have fired what is due; so jobs come to an end."""
        self.stop()
        if self.error is not None:
            raise self.error
        deadline = time.monotonic() + SETTLED_SECONDS
        while time.monotonic() < deadline:
            try:
                self._behind = self._pause_all()
            except self._away:
                continue
            if not self._behind:
                return
            time.sleep(0.1)

    def calendar(self) -> Calendar:
        """All that is known of the schedules, and what the store says became of them."""
        kept = []
        for name in self._entries:
            found = self._app.execute(firings(name, limit=2 * MOST))
            kept += [
                Firing(name, each.instant.astimezone(UTC), each.outcome, each.job_id, each.fired_at)
                for each in found
            ]
        self._app.close()
        return Calendar(
            self._entries,
            tuple(self._turns),
            kept,
            tuple(self._behind),
            tuple(self._backfills),
            self._now_at,
            self._site.true_clock,
        )

    @property
    def _away(self) -> tuple[type[BaseException], ...]:
        return (PgqueueError, *self._site.away)

    def _work(self) -> None:
        while not self._stopping.wait(self._random.uniform(0.2, 1.0)):
            try:
                with self._still():
                    rows = {row.name: row for row in self._read().rows}
                    turn = self._choose(rows)
            except (StoreUnavailable, StoreBusy, *self._site.away):
                continue
            if turn is not None:
                self._do(*turn)

    def _read(self) -> Schedules:
        """What the store has, and its clock; notes schedules that are there for the first time."""
        found = self._app.execute(schedules(limit=MOST))
        for row in found.rows:
            if row.name in ENTRIES and self._created.get(row.name) != row.created_at:
                assert row.created_at is not None
                self._created[row.name] = row.created_at
                at = row.created_at.timestamp() - self._now_at
                self._turns.append(Turn(row.name, "declared", at - 30.0, at))
                if row.source == "code":
                    self._entries[row.name] = ENTRIES[row.name]
        return found

    def _choose(
        self, rows: dict[str, ScheduleRow]
    ) -> tuple[str, What | None, Callable[[], Any]] | None:
        """One thing to do: its schedule, what it comes to, and how."""
        there = self._app.schedules
        missing = [e for e in ENTRIES.values() if e.source == "api" and e.name not in rows]
        if missing:
            return self._putting(missing)
        movable = [name for name, entry in ENTRIES.items() if entry.other and name in rows]
        if not movable:
            return None
        name = self._random.choice(movable)
        row, entry = rows[name], ENTRIES[name]
        if row.paused_at is not None:
            drawn = self._random.random()
            if drawn < 0.4 and self._site.true_clock:
                return name, "resumed", lambda: self._make_up_by_hand(name)
            catch_up = drawn < 0.7
            what: What = "made up" if catch_up else "resumed"
            return name, what, lambda: there.resume(name, catch_up=catch_up)
        match self._random.choice(["pause", "pause", "change", "change", "run"]):
            case "pause":
                return name, "paused", lambda: there.pause(name, by="ann")
            case "run":
                return name, "run", lambda: there.run(name)
        if row.changes:
            return name, "own", lambda: there.reset(name)
        other = entry.other
        assert other is not None
        return name, "other", lambda: there.change(name, other.said, **other.options())

    def _make_up_by_hand(self, name: str) -> None:
        """Resumes a schedule, and has the instants that the pause dropped run; twice, like
        somebody who was not sure."""
        found = self._read()
        row = next((row for row in found.rows if row.name == name), None)
        if row is None or row.paused_at is None:
            return
        when = ENTRIES[name].alternatives()[bool(row.changes)]
        rest = Backfill(name, when, row.paused_at, found.now)
        self._backfills.append(rest)
        self._app.schedules.resume(name)
        for _ in range(2):
            self._app.schedules.backfill(name, rest.since, rest.until)
        self._backfills[-1] = replace(rest, told_at=time.monotonic())

    def _putting(self, missing: list[Entry]) -> tuple[str, None, Callable[[], Any]]:
        """The schedules that the application declares at run time; `_read` notes them."""

        def put() -> None:
            for entry in missing:
                if entry.name not in self._entries:
                    self._entries[entry.name] = entry.at(datetime.now(UTC))
                known = self._entries[entry.name]
                job = ringing(known)
                self._app.schedules.put(known.name, known.when.said, job, **known.options())

        return missing[0].name, None, put

    def _do(self, name: str, what: What | None, act: Callable[[], Any]) -> None:
        """Repeats an act until the store has confirmed it; only once if repeating changes more."""
        since = time.monotonic()
        while True:
            told = False
            try:
                with self._still():
                    act()
                    told = True
            except UnknownSchedule:  # the store has forgotten it
                return
            except self._away:
                time.sleep(0.05)
            if what is not None and (told or what == "run"):
                self._turns.append(Turn(name, what, since, time.monotonic()))
            if told or what in (None, "run"):
                return

    def _pause_all(self) -> list[str]:
        """Pauses schedules that have fired all that is due; answers the names of the others, and
        of those that no worker has declared yet, to a store that has forgotten them."""
        found = self._read()
        now = min(found.now.timestamp() - self._now_at, time.monotonic())
        there = {row.name for row in found.rows}
        left = [e.name for e in ENTRIES.values() if e.source == "code" and e.name not in there]
        for row in found.rows:
            if row.paused_at is not None or row.name not in self._entries:
                continue
            if row.next_at is None or row.next_at <= found.now:
                left.append(row.name)
                continue
            self._turns.append(Turn(row.name, "caught up", now, now))
            since = time.monotonic()
            self._app.schedules.pause(row.name)
            self._turns.append(Turn(row.name, "paused", since, time.monotonic()))
        return left
