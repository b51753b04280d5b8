"""The rules of schedules: what fires is what the definition says, each instant once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import inf

from tests.faults.facts import AFTERMATH, Facts, Firing, Job, Made
from tests.faults.spells import TICK, Spell, spells
from tests.faults.waits import disturbed, served

WITH_JOB = ("fired", "manual", "backfill")
ON_TIME = ("fired", "skipped", "missed")
CLOCKS = timedelta(seconds=0.25)  # two clocks of one machine may differ by so much
MEANWHILE = 30.0  # seconds between the look at what is due and the transaction that deals with it
SOON = timedelta(seconds=15)  # until there is a leader that fires
MOST_COUNTED = 999
Findings = Iterator[tuple[int | None, str]]


def fired(facts: Facts) -> Findings:
    """Each instant that fired has its job, and each job of a schedule its instant: one each."""
    jobs: dict[tuple[str, datetime], list[Job]] = defaultdict(list)
    for job in facts.jobs:
        if job.made is not None:
            jobs[job.made.schedule, job.made.instant].append(job)
    noted = {(firing.schedule, firing.instant): firing for firing in facts.calendar.firings}
    for (name, instant), theirs in jobs.items():
        firing = noted.get((name, instant))
        if len(theirs) > 1:
            ids = ", ".join(str(job.id) for job in theirs)
            yield theirs[-1].id, f"schedule {name} has fired {instant} more than once: jobs {ids}"
        elif firing is None:
            yield theirs[0].id, f"job {theirs[0].id} is of {instant}, which {name} has not noted"
        elif firing.outcome not in WITH_JOB or firing.job != theirs[0].id:
            yield theirs[0].id, f"job {theirs[0].id} is not what {firing} says"
    for at, firing in noted.items():
        if firing.outcome in WITH_JOB and at not in jobs:
            yield firing.job, f"{firing} has no job {firing.job}"
        elif firing.outcome == "skipped":
            entry = facts.calendar.entries.get(firing.schedule)
            if entry is None or entry.overlap in ("allow", "replace"):
                yield firing.job, f"{firing}: nothing may skip it"


def timely(facts: Facts) -> Findings:
    """Each firing is at an instant of the definition that was in force, not early, not during a
    pause, and with a job unless it was too late."""
    calendar = facts.calendar
    if not calendar.true:
        yield from _possible(facts)
        return
    for name, theirs in _by_spell(facts).items():
        entry = calendar.entries[name]
        for spell, firing in theirs:
            late = (firing.fired_at - firing.instant).total_seconds()
            if spell is None and not _was_asked_for(facts, firing):
                yield firing.job, f"{firing}: that was no instant of it then"
            elif spell and any(begun < firing.fired_at < ended for begun, ended in spell.rests):
                yield firing.job, f"{firing}: it was paused"
            elif late < 0:
                yield firing.job, f"{firing}: before its time"
            elif firing.outcome == "missed" and (entry.patience is None or late < entry.patience):
                yield firing.job, f"{firing}: it was not too late, {late:.1f} s"
            elif firing.outcome == "fired" and late > (entry.patience or inf) + MEANWHILE:
                yield firing.job, f"{firing}: it was too late, {late:.1f} s"
    for job in facts.jobs:
        made, runs = job.made, facts.runs.get(job.id, ())
        if made is None:
            continue
        first = min((run.started_at for run in runs), default=None)
        began = first and datetime.fromtimestamp(first + calendar.now_at, made.instant.tzinfo)
        if made.run_at < made.instant and not made.manual:
            yield job.id, f"job {job.id} was to run at {made.run_at}, it is of {made.instant}"
        elif began and began + CLOCKS < (made.run_at if len(runs) == 1 else made.instant):
            yield job.id, f"job {job.id} of {made.instant} ran at {began}, before its time"


def unfired(facts: Facts) -> Findings:
    """No instant is lost: it fired, or was noted as missed, or is counted by the one after it."""
    for name in facts.calendar.behind:
        yield None, f"schedule {name} does not fire what is due, though all is well"
    if not facts.calendar.true:
        return
    made = {job.id: job.made for job in facts.jobs}
    known = {(firing.schedule, firing.instant) for firing in facts.calendar.firings}
    fired: dict[Spell, list[Firing]] = defaultdict(list)
    for theirs in _by_spell(facts).values():
        for spell, firing in theirs:
            if spell is not None:
                fired[spell].append(firing)
    for name, each in spells(facts).items():
        latest = facts.calendar.entries[name].missed == "latest"
        for spell in each:
            found = sorted(fired[spell], key=lambda firing: firing.instant)
            due = spell.due()
            last = found[-1].instant if found else None
            if latest:
                yield from _miscounted(spell, found, made)
                due = [instant for instant in due if last is None or instant > last]
            for instant in due:
                tail = spell.settled is None and (last is None or instant > last)
                if (name, instant) not in known and not (tail and _cut_off(facts, spell, instant)):
                    yield None, f"schedule {name} has lost {instant}, of {spell.when}"


def delayed(facts: Facts) -> Findings:
    """No schedule fires late because another transaction holds a row, except its own row or
    its job's; schedules that people pause are left out."""
    if not facts.calendar.true:
        return
    jobs: dict[str, set[int]] = defaultdict(set)
    for job in facts.jobs:
        if job.made is not None:
            jobs[job.made.schedule].add(job.id)
    for firing in facts.calendar.firings:
        entry = facts.calendar.entries[firing.schedule]
        if firing.outcome not in ("fired", "skipped") or entry.other is not None:
            continue
        instant, fired_at = (
            each.timestamp() - facts.calendar.now_at for each in (firing.instant, firing.fired_at)
        )
        if served(facts, instant, fired_at) <= SOON.total_seconds():
            continue
        behind = [
            fault
            for fault in facts.faults
            if fault.held is not None and fault.struck_at < fired_at and fault.healed_at > instant
        ]
        if (
            behind
            and all(fault.schedule != firing.schedule for fault in behind)
            and not any(jobs[firing.schedule] & (fault.held or set()) for fault in behind)
            and not disturbed(facts, instant, fired_at)
        ):
            kinds = ", ".join(sorted({fault.kind for fault in behind}))
            yield firing.job, f"{firing} was {fired_at - instant:.1f} s late, behind {kinds}"


def backfilled(facts: Facts) -> Findings:
    """Each instant that somebody asked for has fired by then, and no other was made up for."""
    calendar = facts.calendar
    known = {(firing.schedule, firing.instant) for firing in calendar.firings}
    for each in calendar.backfills:
        if each.told_at is None:
            continue
        for instant in each.when.instants(each.since - TICK, each.until - TICK):
            if (each.schedule, instant) not in known:
                yield None, f"schedule {each.schedule} has no job of {instant}, which was asked for"
    for firing in calendar.firings:
        if firing.outcome == "backfill" and not any(
            each.schedule == firing.schedule
            and each.since <= firing.instant < each.until
            and each.when.has(firing.instant)
            for each in calendar.backfills
        ):
            yield firing.job, f"{firing}: nobody has asked for that"


def _by_spell(facts: Facts) -> dict[str, list[tuple[Spell | None, Firing]]]:
    """Each firing that the clock has made, with the spell that it belongs to."""
    theirs = spells(facts)
    found: dict[str, list[tuple[Spell | None, Firing]]] = defaultdict(list)
    for firing in facts.calendar.firings:
        if firing.outcome in ON_TIME:
            possible = [s for s in theirs.get(firing.schedule, ()) if s.has(firing.instant)]
            found[firing.schedule].append((possible[-1] if possible else None, firing))
    return found


def _possible(facts: Facts) -> Findings:
    """Where clocks are set: each instant belongs to its definition, at whatever time it fired."""
    for firing in facts.calendar.firings:
        whens = facts.calendar.entries[firing.schedule].alternatives()
        if firing.outcome not in ON_TIME or _was_asked_for(facts, firing):
            continue
        if not any(when.has(firing.instant) for when in whens):
            yield firing.job, f"{firing}: that is no instant of it"


def _was_asked_for(facts: Facts, firing: Firing) -> bool:
    """Did somebody ask for a run at that time, which a job was in the way of?

    Where clocks are set, nobody can tell which of the requests that was.
    """
    at = firing.instant.timestamp() - facts.calendar.now_at
    return firing.outcome == "skipped" and any(
        turn.schedule == firing.schedule
        and turn.what == "run"
        and (not facts.calendar.true or turn.since <= at <= turn.until)
        for turn in facts.calendar.turns
    )


def _miscounted(spell: Spell, firings: Sequence[Firing], made: dict[int, Made | None]) -> Findings:
    """For a schedule that makes one job for all missed instants: its job counts them."""
    earliest, since = spell.earliest, spell.since
    for firing in firings:
        job = made.get(firing.job or 0)
        if firing.outcome == "fired" and job is not None:
            between = list(spell.when.instants(min(earliest, since), firing.instant))[:-1]
            most, least = len(between), sum(instant > since for instant in between)
            if not min(least, MOST_COUNTED) <= job.missed <= min(most, MOST_COUNTED):
                counted = f"{least} to {most}" if least < most else f"{most}"
                yield (
                    firing.job,
                    f"{firing} says that {job.missed} were missed before it, {counted} were",
                )
        earliest = since = firing.instant


def _cut_off(facts: Facts, spell: Spell, instant: datetime) -> bool:
    """Was it dropped by a pause or a change, before anybody could fire it?"""
    if spell.until - instant < SOON:
        return True
    now_at = facts.calendar.now_at
    since, until = instant.timestamp() - now_at, spell.until.timestamp() - now_at
    return any(
        fault.struck_at <= until and fault.healed_at + AFTERMATH >= since
        for fault in facts.all_faults
    )
