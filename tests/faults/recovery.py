"""How long it took until all was well again after each fault, from the journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import inf
from statistics import median

from tests.faults.facts import EVERYBODY, STARVED, Facts, Fault, Run

AMID = "amid others"
GRACE = 10.0  # when all sessions were lost, a worker has so long to come back


def recoveries(facts: Facts) -> dict[str, list[float]]:
    """Seconds by kind of fault; a fault that left nothing to see is not in it.

    Jobs that ran again only after another fault had befallen everybody, or soon after it, are
    counted as "KIND amid others": a server that is started anew every ten seconds, or a store that
    goes back after a job was rescued, tells nothing about how long a rescue takes.
    """
    found: dict[str, list[float]] = defaultdict(list)
    runs = sorted(
        (run for each in facts.runs.values() for run in each), key=lambda run: run.started_at
    )
    for fault in facts.faults:
        match fault.measure:
            case "jobs":
                for seconds, since, until in _jobs(facts, fault):
                    amid = _amid_others(facts, fault, since, until)
                    found[f"{fault.kind} {AMID}" if amid else fault.kind].append(seconds)
            case "workers":
                found[fault.kind] += _workers(facts, fault, runs)
            case "queue":
                found[fault.kind] += _first(facts, fault, runs, None)
    return dict(found)


def shown(seconds: list[float]) -> tuple[float, float] | None:
    """Median and maximum."""
    return (median(seconds), max(seconds)) if seconds else None


def _amid_others(facts: Facts, fault: Fault, since: float, until: float) -> bool:
    """Had another fault befallen everybody? A row that somebody holds does not count."""
    return any(
        other is not fault
        and other.kind != STARVED
        and other.held is None
        and other.touched == EVERYBODY
        and other.struck_at < until
        and other.healed_at > since - GRACE
        for other in facts.faults
    )


def _jobs(facts: Facts, fault: Fault) -> Iterator[tuple[float, float, float]]:
    """For each job of a touched worker: how long, since and until when it did not run again."""
    for runs in facts.runs.values():
        for first, second in pairwise(runs):
            in_hand = first.started_at <= fault.struck_at <= (first.ended_at or inf)
            if not in_hand or first.worker not in fault.touched:
                continue
            if (
                first.how is None
                or first.how == "interrupted"
                or second.started_at < fault.healed_at
            ):
                since = first.ended_at if first.how == "interrupted" else fault.struck_at
                if since is not None and second.started_at > since:
                    yield second.started_at - since, since, second.started_at


def _workers(facts: Facts, fault: Fault, runs: list[Run]) -> Iterator[float]:
    """From the healing until each touched worker took a job that was enqueued later."""
    touched = (
        {worker.name for worker in facts.workers} if fault.touched == EVERYBODY else fault.touched
    )
    for name in touched:
        yield from _first(facts, fault, runs, name)


def _first(facts: Facts, fault: Fault, runs: list[Run], worker: str | None) -> Iterator[float]:
    for run in runs:
        if run.started_at > facts.quiet_at:
            return
        if run.started_at > fault.healed_at and worker in (None, run.worker):
            fate = facts.fates.get(run.key)
            if fate and fate[0] == "committed" and fate[1] > fault.healed_at:
                yield run.started_at - fault.healed_at
                return
