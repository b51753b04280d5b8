"""Enqueue jobs with unique keys: some are made, others meet an existing job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from pgqueue.errors import DuplicateJob, InvalidArguments, JobTooLarge
from pgqueue.jobs import checks
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.unique import MADE, Merge, Outcome
from pgqueue.operations.operation import Operation, Plan
from pgqueue.operations.rows import document

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Met(NamedTuple):
    """The outcome of a job to enqueue: the *id* that stands for it.

    *behind*: the running job that it waits for, when the outcome is "next".
    """

    id: int
    outcome: Outcome
    behind: int | None = None

    @property
    def created(self) -> bool:
        return self.outcome in MADE


def check_rules(jobs: Sequence[NewJob[Any]]) -> None:
    """Raise InvalidJob for one of *jobs* whose rule cannot be kept; nothing is written yet."""
    for job in jobs:
        rule = job.uniqueness
        if rule is None or not rule.replaces:
            continue
        if job.edges:
            checks.refuse(
                job.task,
                "after",
                "it may replace a job, which keeps the parents that it has; leave them out, or "
                'give conflict="return" or "raise"',
            )
        if isinstance(rule.conflict, Merge):
            given = _members.decode(job.args)
            for name in rule.conflict.arguments:
                if bytes(given.get(name, b"null"))[:1] not in (b"[", b"n"):
                    raise InvalidArguments(
                        f"{job.task}: {name}: Merge puts lists together; this is none",
                        task=job.task,
                        parameter=name,
                    )


def enqueue_keyed(
    jobs: Sequence[NewJob[Any]], rows: Sequence[str], notify: bool, now: datetime | None
) -> Plan[list[Met]]:
    """Enqueue *rows*, those of *jobs*, asking again until each key is ours or another job's.

    A holder that finishes between the insert and the look for it leaves its key to the next round.
    Raises DuplicateJob and JobTooLarge.
    """
    round_of = _ruled if any(job.uniqueness is not None for job in jobs) else _plain
    met: dict[int, Met] = {}
    while places := _in_order(jobs, [n for n in range(len(rows)) if n not in met]):
        params = document([rows[n] for n in places], notify, now)
        found = yield from round_of([jobs[n] for n in places], params)
        met |= {places[n]: one for n, one in found.items()}
    return [met[n] for n in range(len(rows))]


def _in_order(jobs: Sequence[NewJob[Any]], places: Sequence[int]) -> Sequence[int]:
    """Return those of *places* that one round can take: all before the first job that may replace
    an earlier one of the call. It is replaced before later jobs are made, so it runs before them.
    """
    keys = set()
    for end, n in enumerate(places):
        job = jobs[n]
        if job.unique in keys and job.uniqueness is not None and job.uniqueness.replaces:
            return places[:end]
        if job.unique is not None:
            keys.add(job.unique)
    return places


def _plain(jobs: Sequence[NewJob[Any]], params: dict[str, str | None]) -> Plan[dict[int, Met]]:
    created, holders = yield Operation("enqueue_unique", params, lambda a: a)
    met = {ordinal - 1: Met(id, "created") for ordinal, id in created}
    held = dict(holders)
    for n, job in enumerate(jobs):
        if n not in met and job.unique in held:
            met[n] = Met(held[job.unique], "existing")
    return met


def _ruled(jobs: Sequence[NewJob[Any]], params: dict[str, str | None]) -> Plan[dict[int, Met]]:
    met: dict[int, Met] = {}
    for ordinal, id, outcome, behind in (yield Operation("enqueue_once", params, lambda a: a[0])):
        job = jobs[ordinal - 1]
        if outcome == "too large":
            raise JobTooLarge(
                f"{job.task}: args: merged with those of job {id} they pass "
                f"{checks.MAX_ARGS_BYTES:,} bytes",
                task=job.task,
                parameter="args",
            )
        if outcome == "existing" and job.uniqueness and job.uniqueness.conflict == "raise":
            raise DuplicateJob(f"{job.task}: unique: job {id} has its key", task=job.task, id=id)
        met[ordinal - 1] = Met(id, outcome, behind)
    return met
