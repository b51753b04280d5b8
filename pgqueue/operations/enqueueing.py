"""Make jobs, with their edges and their workflow, and wake who waits for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from pgqueue.errors import UnknownParent
from pgqueue.jobs import checks
from pgqueue.jobs.graphs import Workflow
from pgqueue.jobs.job import Edge, Handle, NewJob
from pgqueue.jobs.unique import Unique
from pgqueue.operations.dependencies import hold, linking, parents_of
from pgqueue.operations.duplicates import Met, check_rules, enqueue_keyed
from pgqueue.operations.operation import Answers, Operation, Param, Plan, Together, nothing
from pgqueue.operations.params import Later, as_json, from_microseconds, instant
from pgqueue.operations.rows import (
    CHUNK,
    are_alike,
    chunks,
    columns,
    document,
    is_plain,
    rows_of,
)
from pgqueue.operations.topics import DUE


def enqueue(
    jobs: Sequence[NewJob[Any]],
    *,
    workflow: Workflow | int | None = None,
    notify: bool = True,
    now: datetime | None = None,
) -> Plan[list[Handle[Any]]]:
    """Enqueue all of *jobs* or none, in order; in a new *workflow*, or the one of that id.

    A job whose unique key another job holds is not made, unless its rule says so: its handle is
    that job's. Raises UnknownParent, before anything is written, for a parent that is neither
    earlier in the call nor in the store; DuplicateJob and JobTooLarge, of a rule, when earlier jobs
    of the call may be written: then the transaction is to be rolled back.
    """
    if len(jobs) == 1 and workflow is None and is_plain(jobs[0]):
        id: int = yield enqueue_plain(jobs[0], notify=notify, now=now)
        return [Handle(id, jobs[0].task)]
    check_rules(jobs)
    parents = parents_of(jobs)
    elsewhere = sorted({p for edges in parents for p, _ in edges if p > 0})
    if elsewhere:
        existing: set[int] = yield hold(elsewhere)
        if missing := [p for p in elsewhere if p not in existing]:
            raise UnknownParent(
                f"no job {missing[0]}: a parent is a job of this call or one that exists; "
                "it may be past its retention"
            )
    joined: int | None = (
        (yield begin(workflow, now=now)) if isinstance(workflow, Workflow) else workflow
    )
    handles: list[Handle[Any]] = []
    if len(jobs) > CHUNK and not any(job.unique is not None for job in jobs):
        chunks_of_ids: list[list[int]] = yield Together(
            _enqueue_many(jobs[start:end], parents[start:end], joined, notify, now)
            for start, end in chunks(jobs)
        )
        handles = _handles(jobs, chain.from_iterable(chunks_of_ids), joined)
    else:
        for start, end in chunks(jobs):
            chunk = jobs[start:end]
            if any(job.unique for job in chunk):
                rows = rows_of(chunk, parents[start:end], joined)
                met = yield from enqueue_keyed(chunk, rows, notify, now)
                handles += [
                    Handle(
                        one.id, job.task, one.created, joined if one.created else None, one.outcome
                    )
                    for job, one in zip(chunk, met, strict=True)
                ]
                parents = _with_those_behind(parents, start, met)
            else:
                ids = yield _enqueue_many(chunk, parents[start:end], joined, notify, now)
                handles += _handles(chunk, ids, joined)
    if any(parents):
        yield from linking(handles, parents, now)
    return handles


def enqueue_plain(
    job: NewJob[Any], *, notify: bool = True, now: datetime | None = None
) -> Operation[int]:
    """Enqueue one job that `is_plain`; answer its id."""

    def write() -> dict[str, Param]:
        return document(rows_of([job], [()], None), notify, now)

    shortcut = Operation("enqueue_one", columns(job, job.args, notify, now), _number)
    return Operation("enqueue", Later(write), _number, shortcut)


def enqueue_dated(
    job: NewJob[Any], *, notify: bool = True, now: datetime | None = None
) -> Operation[tuple[int, datetime]]:
    """Enqueue one job without parents and without a unique key; answer its id, and when it was."""

    def decode(answers: Answers) -> tuple[int, datetime]:
        id, at = answers[0][0]
        return id, from_microseconds(at)

    return Operation("enqueue", document(rows_of([job], [()], None), notify, now), decode)


def door(job: NewJob[Any]) -> Operation[int]:
    """Enqueue *job* as SQL does, through the schema's own function; answer its id.

    Raises InvalidJob when it waits for others, or is more than that function can say.
    """
    if job.edges:
        checks.refuse(job.task, "after", "a statement makes one job; use `pgqueue.enqueue`")
    rule = job.uniqueness or Unique()
    for given, parameter in (
        (job.expires is not None, "expires"),
        (not job.keep, "keep"),
        (rule.conflict != "return", "unique: conflict"),
    ):
        if given:
            checks.refuse(job.task, parameter, "the SQL function has none; use `pgqueue.enqueue`")
    params: dict[str, Param] = {
        "task": job.task,
        "args": job.args,
        "queue": job.queue,
        "priority": str(job.priority),
        "run_at": instant(job.run_at),
        "delay_seconds": None if job.delay is None else str(job.delay.total_seconds()),
        "max_attempts": str(job.max_attempts),
        "timeout_seconds": None if job.timeout is None else str(job.timeout.total_seconds()),
        "unique_key": job.unique_key,
        "unique_until": f"{rule.until}" if rule.seconds is None else f"{rule.seconds} seconds",
        "tags": as_json(job.tags),
        "metadata": job.metadata,
        "key": job.key,
    }
    return Operation("door", params, lambda a: int(a[0][0][0]))


def begin(workflow: Workflow, *, now: datetime | None = None) -> Operation[int]:
    """Make *workflow*, its name and tags; answer the id that its jobs share."""
    params = {"name": workflow.name, "tags": as_json(workflow.tags), "now": instant(now)}
    return Operation("begin", params, lambda a: int(a[0][0][0]))


def topics_to_wake(jobs: Iterable[NewJob[Any]]) -> set[str]:
    """Return the topics to wake once *jobs* are committed, by a client that owns the commit.

    A job with a *run_at* may be due already, by the store's clock: its queue and the promoter are
    both woken.
    """
    free = [job for job in jobs if not job.edges]
    later = {DUE for job in free if job.run_at or job.delay}
    return later | {job.queue for job in free if not job.delay}


def wake(topics: Iterable[str]) -> Operation[None]:
    """Wake those who sleep on one of *topics*: queues' names, DUE for the promoter."""
    return Operation("wake", {"topics": as_json(sorted(topics))}, nothing)


def _enqueue_many(
    jobs: Sequence[NewJob[Any]],
    parents: Sequence[Sequence[object]],
    workflow: int | None,
    notify: bool,
    now: datetime | None,
) -> Operation[list[int]]:
    """Enqueue jobs without unique keys, as many as one statement takes."""

    def write() -> dict[str, Param]:
        return document(rows_of(jobs, parents, workflow), notify, now)

    if workflow is not None or not are_alike(jobs):
        return Operation("enqueue", write(), _numbers)
    args = f"[{','.join([job.args for job in jobs])}]"
    shortcut = Operation("enqueue_alike", columns(jobs[0], args, notify, now), _numbers)
    return Operation("enqueue", Later(write), _numbers, shortcut)


def _handles(
    jobs: Sequence[NewJob[Any]], ids: Iterable[int], workflow: int | None
) -> list[Handle[Any]]:
    return [Handle(id, job.task, True, workflow) for job, id in zip(jobs, ids, strict=True)]


def _with_those_behind(
    parents: list[list[tuple[int, Edge]]], start: int, met: Sequence[Met]
) -> list[list[tuple[int, Edge]]]:
    """Return *parents*, and for each that is next in line, from *start* on, who runs before it."""
    if not any(one.behind for one in met):
        return parents
    parents = list(parents)
    for n, one in enumerate(met, start):
        if one.behind is not None:
            parents[n] = [*parents[n], (one.behind, Edge(one.behind, "run"))]
    return parents


def _number(answers: Answers) -> int:
    id: int = answers[0][0][0]
    return id


def _numbers(answers: Answers) -> list[int]:
    return [row[0] for row in answers[0]]
