"""The rules of jobs whose key holds until they have started: one waits, one more may run before it.

The producer is one thread, so the order of its orders is that in which a key's jobs were made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import inf

from tests.faults.facts import FINISHED, Facts, Order

Findings = Iterator[tuple[int | None, str]]


def started(facts: Facts) -> Findings:
    """At most one job of a key has not started, and at most one started job has not ended. The
    second job is made when the first has started, begins when it has ended; there is no third."""
    yield from _seen(facts)
    made: dict[str, list[Order]] = defaultdict(list)
    for order in sorted(facts.orders, key=lambda order: order.key):
        if order.unique and order.started and order.created:
            made[order.unique].append(order)
    for name, orders in made.items():
        for number, order in enumerate(orders):
            before = orders[: number - 1] if order.outcome == "next" and number else orders[:number]
            yield from _too_early(facts, name, order, before)
        for first, second in pairwise(orders):
            ended = facts.ended(first.job)
            began = min((run.started_at for run in facts.runs.get(second.job, ())), default=inf)
            if ended is not None and began < ended:
                yield (
                    second.job,
                    f"job {second.job} with {name} began {ended - began:.3f} s before job "
                    f"{first.job} ended",
                )


def triggered(facts: Facts) -> Findings:
    """A run sees all data of a waiting job: the last run began after the last trigger."""
    for order in facts.orders:
        job = facts.by_id.get(order.job)
        if not order.started or order.created or job is None or job.state not in FINISHED:
            continue
        began = max((run.started_at for run in facts.finishing(job)), default=inf)
        if began < order.asked_at:
            yield (
                job.id,
                f"job {job.id} answers for order {order.key} with {order.unique}, and had begun "
                f"{order.asked_at - began:.3f} s before",
            )


def _seen(facts: Facts) -> Findings:
    """What no snapshot may show."""
    for seen in facts.holders:
        for most, number, what in (
            (2, seen.unfinished, "had not ended"),
            (1, seen.free, "waited for no other"),
            (1, seen.unclaimed, "had not started"),
        ):
            if number > most:
                yield None, f"{number} jobs with {seen.unique} {what} at once, {most} may"


def _too_early(facts: Facts, name: str, order: Order, before: list[Order]) -> Findings:
    """Was its job made when one of *before* had not ended?"""
    fate, told_at = facts.fates.get(order.key, ("unknown", inf))
    for other in before:
        job = facts.by_id.get(other.job)
        ended = inf if job and job.state not in FINISHED else facts.ended(other.job)
        if fate == "committed" and ended is not None and ended > told_at:
            yield (
                order.job,
                f"job {order.job} ({order.outcome}) got {name} before job {other.job} had ended",
            )
