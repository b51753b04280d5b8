"""What a store forgot when an older one took its place, and what is left of a round then."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.facts import AFTERMATH, Facts, Fault
from tests.faults.journal import Line


def remembered(facts: Facts) -> Facts:
    """*facts* without what happened in the times that the store knows nothing of.

    The producer stands still while a copy is made, and while it is put back: so an order of such a
    time is either in the copy or forgotten. A run that began in such a time is forgotten, unless
    its job is the same in the store that came back, and kept its result: then the job had been
    claimed before.
    """
    for fault in facts.faults:
        if fault.forgot_since is not None:
            facts = _without(facts, fault, fault.forgot_since)
    return facts


def _without(facts: Facts, fault: Fault, since: float) -> Facts:
    known = {(job.id, job.key) for job in facts.jobs}
    results = {(job.id, job.key): job.result for job in facts.jobs}
    forgotten: set[str] = set()
    for line in facts.lines:
        # While the copy is made only the producer stands still: what jobs and schedules enqueue
        # then may be in it, or not.
        earliest = since if line.key >= 0 else min(since, fault.struck_at)
        if line.what != "start" or line.at < earliest:
            continue
        about = line.job, line.key
        if about not in known:
            if line.at < fault.healed_at + AFTERMATH:  # a worker may still hold it
                forgotten.add(line.run)
        elif since <= line.at < fault.healed_at and results[about] != line.run:
            forgotten.add(line.run)
    lines: list[Line] = [line for line in facts.lines if line.run not in forgotten]
    fates = {
        key: fate
        for key, fate in facts.fates.items()
        if key in facts.by_key or not since <= fate[1] <= fault.healed_at
    }
    calendar = replace(
        facts.calendar,
        turns=[t for t in facts.calendar.turns if not since <= t.until <= fault.healed_at],
        backfills=[
            replace(each, told_at=None)
            if each.told_at is not None and since <= each.told_at <= fault.healed_at
            else each
            for each in facts.calendar.backfills
        ],
    )
    starts = [
        start
        for start in facts.starts
        if not since <= start.at.timestamp() - calendar.now_at <= fault.healed_at
    ]
    edits = [
        replace(edit, fate="unknown", job=None)
        if since <= edit.asked_at <= fault.healed_at
        else edit
        for edit in facts.edits
    ]
    return replace(facts, lines=lines, fates=fates, calendar=calendar, starts=starts, edits=edits)
