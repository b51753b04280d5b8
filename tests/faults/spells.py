"""Spells: for how long a schedule fired by which definition, from what people did with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf

from tests.faults.facts import Calendar, Facts, Turn
from tests.faults.timetable import Entry, When

TICK = timedelta(microseconds=1)
FAR = 4e9  # seconds after 1970


@dataclass(frozen=True, slots=True)
class Spell:
    """*schedule* fired by *when*: for certain after *since* and before *until*, and perhaps from
    *earliest* on and up to *latest*. Until *settled*, if known, all that was due was dealt with.
    *rests*: spans in which it was paused, and whose instants were made up for later.
    """

    schedule: str
    when: When
    earliest: datetime
    since: datetime
    until: datetime
    latest: datetime
    settled: datetime | None = None
    rests: tuple[tuple[datetime, datetime], ...] = ()

    def due(self) -> list[datetime]:
        """The instants that have come for certain."""
        until = self.until if self.settled is None else min(self.until, self.settled)
        return [instant for instant in self.when.instants(self.since, until) if instant < until]

    def has(self, instant: datetime) -> bool:
        return self.earliest <= instant <= self.latest and self.when.has(instant)


def spells(facts: Facts) -> dict[str, list[Spell]]:
    """By schedule, in their order."""
    turns: dict[str, list[Turn]] = defaultdict(list)
    for turn in facts.calendar.turns:
        if turn.what != "run":
            turns[turn.schedule].append(turn)
    return {
        name: list(_bounded(_spells(facts.calendar, name, theirs), facts.calendar.entries[name]))
        for name, theirs in turns.items()
        if name in facts.calendar.entries
    }


def _spells(calendar: Calendar, name: str, turns: list[Turn]) -> Iterator[Spell]:
    when, other = (calendar.entries[name].alternatives() * 2)[:2]
    ways = {"own": when, "declared": when, "other": other}

    def wall(at: float) -> datetime:
        return datetime.fromtimestamp(min(at + calendar.now_at, FAR), UTC)

    def begun(turn: Turn) -> Spell:
        return Spell(name, when, wall(turn.since), wall(turn.until), wall(inf), wall(inf))

    spell: Spell | None = None
    for turn, following in zip(turns, [*turns[1:], None], strict=True):
        ended = spell and replace(spell, until=wall(turn.since), latest=wall(turn.until))
        match turn.what:
            case "caught up":
                spell = spell and replace(spell, settled=wall(turn.since))
            case "paused" if spell and following and following.what == "made up":
                rest = wall(turn.until), wall(following.since)
                spell = replace(spell, rests=(*spell.rests, rest))
            case "made up" if spell:
                pass
            case "paused":
                if ended:
                    yield ended
                spell = None
            case "resumed" | "made up":
                spell = begun(turn)
            case what:
                if ended:
                    yield ended
                when = ways[what]
                spell = begun(turn)
    if spell:
        yield spell


def _bounded(spells: Iterator[Spell], entry: Entry) -> Iterator[Spell]:
    """None before it starts, and none after it ends."""
    for spell in spells:
        starts, ends = entry.starts, entry.ends
        if isinstance(starts, datetime):
            earliest, since = max(spell.earliest, starts), max(spell.since, starts - TICK)
            spell = replace(spell, earliest=earliest, since=since)
        if isinstance(ends, datetime):
            spell = replace(
                spell, until=min(spell.until, ends), latest=min(spell.latest, ends - TICK)
            )
        yield spell
