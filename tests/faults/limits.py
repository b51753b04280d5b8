"""The rules of queues with limits, from snapshots, from starts, and from the journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from tests.faults.facts import AFTERMATH, Facts, Order, Start
from tests.faults.ration import EXECUTORS, KEYS, QUEUES, most

Findings = Iterator[tuple[int | None, str]]


def crowded(facts: Facts) -> Findings:
    """No snapshot shows more running jobs of a queue, or of a key, than may run."""
    for crowd in facts.crowds:
        may = most(crowd.queue, crowd.key)
        if crowd.running > may and not _forgotten(facts, crowd.at):
            whose = "" if crowd.key is None else f" of key {crowd.key}"
            yield None, f"{crowd.running} jobs{whose} ran in queue {crowd.queue}, {may:g} may"


def rated(facts: Facts) -> Findings:
    """In any span as long as a limit's, no more attempts begin than it allows, by the store's
    clock."""
    if not facts.calendar.true:
        return
    by_queue: dict[str, list[Start]] = defaultdict(list)
    for start in facts.starts:
        by_queue[start.queue].append(start)
    for queue, starts in by_queue.items():
        rate = QUEUES[queue].get("rate")
        if rate is None:
            continue
        starts.sort(key=lambda start: start.at)
        for first, beyond in zip(starts, starts[rate.count :], strict=False):
            if beyond.at - first.at <= timedelta(seconds=rate.per):
                yield (
                    beyond.job,
                    f"job {beyond.job} is the {rate.count + 1}th to begin in queue {queue} within "
                    f"{beyond.at - first.at}; {rate} may",
                )


def ordered(facts: Facts) -> Findings:
    """In an ordered queue jobs of a key begin in their order, each when the one before has ended.

    The producer is one thread, so that is the order of their numbers.
    """
    lines: dict[tuple[str, int], list[Order]] = defaultdict(list)
    for order in sorted(facts.orders, key=lambda order: order.job):
        queue = EXECUTORS.get(order.executor)
        if queue and QUEUES[queue].get("ordered") and order.created:
            lines[queue, order.key % KEYS].append(order)
    for (queue, key), line in lines.items():
        last: tuple[int, float] | None = None
        for order in line:
            runs = [
                run
                for run in facts.runs.get(order.job, ())
                if not _forgotten(facts, run.started_at)
            ]
            began = min((run.started_at for run in runs), default=None)
            if last and began is not None and began < last[1]:
                yield (
                    order.job,
                    f"job {order.job} of key {key} in queue {queue} began {last[1] - began:.3f} s "
                    f"before job {last[0]} ended",
                )
            ended = facts.ended(order.job)
            if ended is not None:
                last = order.job, ended


def _forgotten(facts: Facts, at: float) -> bool:
    """Was it in a time that the store knows nothing of, or just after? An emptied store knows no
    limits until a worker has declared them anew."""
    return any(
        fault.forgot_since is not None and fault.forgot_since <= at <= fault.healed_at + AFTERMATH
        for fault in facts.faults
    )
