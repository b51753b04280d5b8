"""Jobs come into being, with their edges and their workflow, and whoever sleeps is woken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from pgqueue.errors import UnknownParent
from pgqueue.graphs import Workflow
from pgqueue.jobs import Handle, NewJob
from pgqueue.operations.dependencies import hold, linking, parents_of
from pgqueue.operations.operation import Answers, Operation, Param, Plan, Together, nothing
from pgqueue.operations.params import Later, as_json, boolean, instant
from pgqueue.operations.rows import CHUNK, are_alike, chunks, columns, is_plain, rows_of


def enqueue(
    jobs: Sequence[NewJob[Any]],
    *,
    workflow: Workflow | int | None = None,
    notify: bool = True,
    now: datetime | None = None,
) -> Plan[list[Handle[Any]]]:
    """All of *jobs* or none, in order, with their edges; in a new *workflow*, or one that exists.

    A unique key that an unfinished job holds answers with that job. Raises UnknownParent, before
    anything is written, for a parent that is neither earlier in the call nor in the store.
    """
    if len(jobs) == 1 and workflow is None and is_plain(jobs[0]):
        [id] = yield _enqueue_one(jobs[0], notify, now)
        return [Handle(id, jobs[0].task)]
    parents = parents_of(jobs)
    elsewhere = sorted({p for edges in parents for p, _ in edges if p > 0})
    if elsewhere:
        found: set[int] = yield hold(elsewhere)
        if missing := [p for p in elsewhere if p not in found]:
            raise UnknownParent(
                f"no job {missing[0]}: a parent is a job of this call or one that exists; "
                "it may be past its retention"
            )
    joined: int | None = (
        (yield begin(workflow, now=now)) if isinstance(workflow, Workflow) else workflow
    )
    handles: list[Handle[Any]] = []
    if len(jobs) > CHUNK and not any(job.unique is not None for job in jobs):
        answered: list[list[int]] = yield Together(
            _enqueue_many(jobs[start:end], parents[start:end], joined, notify, now)
            for start, end in chunks(jobs)
        )
        handles = _handles(jobs, chain.from_iterable(answered), joined)
    else:
        for start, end in chunks(jobs):
            chunk = jobs[start:end]
            keys = [job.unique for job in chunk]
            if any(keys):
                rows = rows_of(chunk, parents[start:end], joined)
                answers = yield from _enqueue_unique(rows, keys, notify, now)
                handles += [
                    Handle(id, job.task, created, joined if created else None)
                    for job, (id, created) in zip(chunk, answers, strict=True)
                ]
            else:
                ids = yield _enqueue_many(chunk, parents[start:end], joined, notify, now)
                handles += _handles(chunk, ids, joined)
    if any(parents):
        yield from linking(handles, parents, now)
    return handles


def begin(workflow: Workflow, *, now: datetime | None = None) -> Operation[int]:
    """A workflow exists, with its name and tags; answers the id that its jobs share."""
    params = {"name": workflow.name, "tags": as_json(workflow.tags), "now": instant(now)}
    return Operation("begin", params, lambda a: int(a[0][0][0]))


def topics(jobs: Iterable[NewJob[Any]]) -> set[str]:
    """Whom a client that owns its commit should wake after enqueueing *jobs*.

    One with a *run_at* may be due already: the store's clock knows, so both are told.
    """
    free = [job for job in jobs if not job.edges]
    later = {"@" for job in free if job.run_at or job.delay}
    return later | {job.queue for job in free if not job.delay}


def wake(topics: Iterable[str]) -> Operation[None]:
    """Notifies those who sleep on one of *topics*: queues' names, ``@`` for the promoter."""
    return Operation("wake", {"topics": as_json(sorted(topics))}, nothing)


def _enqueue_many(
    jobs: Sequence[NewJob[Any]],
    parents: Sequence[Sequence[object]],
    workflow: int | None,
    notify: bool,
    now: datetime | None,
) -> Operation[list[int]]:
    """One statement's worth of jobs without unique keys."""

    def write() -> dict[str, Param]:
        return _document(rows_of(jobs, parents, workflow), notify, now)

    if workflow is not None or not are_alike(jobs):
        return Operation("enqueue", write(), _numbers)
    args = f"[{','.join([job.args for job in jobs])}]"
    brief = Operation("enqueue_alike", columns(jobs[0], args, notify, now), _numbers)
    return Operation("enqueue", Later(write), _numbers, brief)


def _enqueue_one(job: NewJob[Any], notify: bool, now: datetime | None) -> Operation[list[int]]:
    def write() -> dict[str, Param]:
        return _document(rows_of([job], [()], None), notify, now)

    brief = Operation("enqueue_one", columns(job, job.args, notify, now), _numbers)
    return Operation("enqueue", Later(write), _numbers, brief)


def _handles(
    jobs: Sequence[NewJob[Any]], ids: Iterable[int], workflow: int | None
) -> list[Handle[Any]]:
    return [Handle(id, job.task, True, workflow) for job, id in zip(jobs, ids, strict=True)]


def _document(rows: Sequence[str], notify: bool, now: datetime | None) -> dict[str, Param]:
    return {"jobs": f"[{','.join(rows)}]", "notify": boolean(notify), "now": instant(now)}


def _enqueue_unique(
    rows: Sequence[str], keys: Sequence[str | None], notify: bool, now: datetime | None
) -> Plan[list[tuple[int, bool]]]:
    """Asks until every key is either ours or held; a holder that finishes meanwhile makes room."""
    answers: dict[int, tuple[int, bool]] = {}
    while asked := [n for n in range(len(rows)) if n not in answers]:
        params = _document([rows[n] for n in asked], notify, now)
        created, holders = yield Operation("enqueue_unique", params, lambda a: a)
        answers |= {asked[ordinal - 1]: (id, True) for ordinal, id in created}
        held = dict(holders)
        answers |= {
            n: (held[keys[n]], False) for n in asked if n not in answers and keys[n] in held
        }
    return [answers[n] for n in range(len(rows))]


def _numbers(answers: Answers) -> list[int]:
    return [row[0] for row in answers[0]]
