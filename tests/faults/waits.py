"""How long jobs waited behind rows that somebody else held, from the journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from tests.faults.facts import AFTERMATH, EVERYBODY, FINISHED, LONG_STALL, Facts, Fault, Order, Run
from tests.faults.ration import EXECUTORS

SLACK = 1.0  # until a retry, a snooze, or a notification is due at the latest


@dataclass(frozen=True, slots=True)
class Wait:
    """*job* could have run, and did not for *seconds* while *behind* was held."""

    job: int
    seconds: float
    until: str
    behind: str


def waits(facts: Facts) -> Iterator[Wait]:
    """Each wait of a job behind what is held, as long as nothing else was in the way."""
    holds = [fault for fault in facts.faults if fault.held is not None]
    if not holds:
        return
    theirs = [_wanted(facts, hold) for hold in holds]
    for order in facts.orders:
        if not order.created or order.executor.startswith(("engrave", *EXECUTORS)):
            continue  # no worker knew it, or a limit was in the way
        for since, until, why in _idle(facts, order):
            meanwhile = [
                (hold, wanted)
                for hold, wanted in zip(holds, theirs, strict=True)
                if max(since, hold.struck_at) < min(until, hold.healed_at)
            ]
            if any(order.job in wanted for _, wanted in meanwhile):
                continue
            for hold, _ in meanwhile:
                began, ended = max(since, hold.struck_at), min(until, hold.healed_at)
                if not disturbed(facts, began, ended):
                    yield Wait(order.job, served(facts, began, ended), why, hold.kind)


def _wanted(facts: Facts, hold: Fault) -> set[int]:
    """The held jobs, and all jobs that wait for one of them, or for a parent of one: a parent's
    end is one transaction, which writes to all its children."""
    wanted = set(hold.held or ())
    parents = {p.key for o in facts.orders if o.job in wanted for p in o.parents}
    wanted |= {o.job for o in facts.orders if any(p.key in parents for p in o.parents)}
    for order in sorted(facts.orders, key=lambda order: order.key):  # parents come first
        above = (facts.by_key.get(parent.key) for parent in order.parents)
        if any(parent and parent.job in wanted for parent in above):
            wanted.add(order.job)
    return wanted


def _idle(facts: Facts, order: Order) -> Iterator[tuple[float, float, str]]:
    """From when, and until when, the job could have run and did not; and what it did then."""
    runs = facts.runs.get(order.job, [])
    since = _ready(facts, order)
    if since is not None and runs:
        for began, ended in _unclaimed(facts, order.job, -inf, since, runs[0].started_at):
            yield began, ended, "its first run"
    for first, second in pairwise(runs):
        gone = _gone(facts, first)
        if gone is not None:
            why = f"another run, after {first.how or 'the end of its worker'}"
            spans = _unclaimed(facts, order.job, first.started_at, gone, second.started_at)
            for began, ended in spans:
                yield began, ended, why


def _unclaimed(
    facts: Facts, job: int, after: float, since: float, until: float
) -> Iterator[tuple[float, float]]:
    """The parts of the time between *since* and *until* in which no worker had claimed the
    job, by the claims *after* an instant.

    A worker that has claimed it may have no free place, a process say, for long on a busy machine:
    then the job waits for no lock. If that worker ends, the job waits for another claim.
    """
    for claim in facts.claims.get(job, ()):
        if after < claim.at <= until:
            if since < claim.at:
                yield since, claim.at
            since = max(since, _ended(facts, claim.worker))
    if since < until:
        yield since, until


def _ready(facts: Facts, order: Order) -> float | None:
    """When it could run for the first time; None: nobody can tell."""
    if order.outcome == "next":
        return None
    committed_at = facts.fates.get(order.key, ("unknown", inf))[1]
    ends = [committed_at + order.delay]
    for parent in order.parents:
        above = facts.by_key.get(parent.key)
        job = above and facts.by_id.get(above.job)
        if job is None or job.state not in FINISHED:
            return None
        run = facts.accepted(job)
        last = run and facts.whole.get(run.name)
        if last is None:
            last = max((run.ended_at or inf for run in facts.runs.get(job.id, ())), default=inf)
        ends.append(last)
    return max(ends) if max(ends) < inf else None


def _gone(facts: Facts, run: Run) -> float | None:
    """When another run than *run* was due."""
    if run.how in ("failed", "snoozed") and run.ended_at is not None:
        return run.ended_at + SLACK
    ended = _ended(facts, run.worker)
    return ended if run.how is None and ended < inf else None


def _ended(facts: Facts, worker: str) -> float:
    return next((each.ended_at for each in facts.workers if each.name == worker), inf)


def served(facts: Facts, since: float, until: float) -> float:
    """For how much of that time a worker was there that had joined, and that no fault had touched:
    on a busy machine workers die faster than others start."""
    spans = []
    for worker in facts.workers:
        ends = [f.struck_at for f in facts.faults if worker.name in f.touched]
        spans.append((worker.ready_at, min((worker.ended_at, *ends))))
    seconds, at = 0.0, since
    for began, ended in sorted(spans):
        seconds += max(0.0, min(ended, until) - max(began, at))
        at = max(at, min(ended, until))
    return seconds


def disturbed(facts: Facts, since: float, until: float) -> bool:
    """Was everybody kept from work by something else?"""
    return any(
        fault.held is None
        and fault.touched == EVERYBODY
        and fault.struck_at < until
        and fault.healed_at + AFTERMATH > since
        and (fault.kind != "starved" or fault.healed_at - fault.struck_at >= LONG_STALL)
        for fault in facts.all_faults
    )
