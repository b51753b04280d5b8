"""The rules of jobs of one schedule that meet: one waits for the other, or replaces it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.faults.facts import Facts, Firing, Job
from tests.faults.waits import disturbed

LATE = 6.0  # until the worker that runs the older job has heard of the newer one
Findings = Iterator[tuple[int | None, str]]


def replaces(facts: Facts, job: Job) -> bool:
    """Is it of a schedule whose newer job replaces the older one?"""
    entry = job.made and facts.calendar.entries.get(job.made.schedule)
    return entry is not None and entry.overlap == "replace"


def overlapping(facts: Facts) -> Findings:
    """Where jobs of a schedule must not overlap, none begins before the one before has ended;
    except those that somebody asked for by a backfill."""
    beside = {firing.job for firing in facts.calendar.firings if firing.outcome == "backfill"}
    spans: dict[str, list[tuple[float, float, int, str]]] = defaultdict(list)
    for job in facts.jobs:
        entry = job.made and facts.calendar.entries.get(job.made.schedule)
        if entry is None or entry.overlap == "allow" or job.id in beside:
            continue
        kept = facts.accepted(job)
        runs = facts.runs.get(job.id, []) if entry.overlap == "replace" else [kept]
        spans[entry.name] += [
            (run.started_at, run.ended_at, job.id, run.worker)
            for run in runs
            if run is not None and run.ended_at is not None
        ]
    for name, theirs in spans.items():
        for (started, ended, one, worker), (began, _, two, _) in pairwise(sorted(theirs)):
            if began < ended and one != two and not facts.robbed_by(worker, started, began):
                yield two, f"jobs {one} and {two} of schedule {name} ran at once"


def replaced(facts: Facts) -> Findings:
    """Where the newer job replaces the older one, none is cancelled without a newer one, and none
    goes on, or begins, long after the newer one was made."""
    newer: dict[str, list[Firing]] = defaultdict(list)
    for firing in facts.calendar.firings:
        if firing.outcome == "fired":
            newer[firing.schedule].append(firing)
    for job in facts.jobs:
        if job.made is None or not replaces(facts, job):
            continue
        name, instant = job.made.schedule, job.made.instant
        later = [firing.fired_at for firing in newer[name] if firing.instant > instant]
        if job.state == "cancelled" and not later:
            yield job.id, f"job {job.id} of schedule {name} is cancelled, and no newer one is there"
        if not later or not facts.calendar.true:
            continue
        since = min(later).timestamp() - facts.calendar.now_at
        for run in facts.runs.get(job.id, ()):
            last = run.ended_at or run.started_at
            if (
                last > since + LATE
                and not disturbed(facts, since, last)
                and not facts.blamed([run.worker], since, last)
            ):
                yield (
                    job.id,
                    f"job {job.id} of schedule {name} ran on {run.worker} "
                    f"{last - since:.1f} s after there was a newer one",
                )
