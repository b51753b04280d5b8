"""Jobs come into being, with their edges and their workflow, and whoever sleeps is woken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pgqueue.errors import UnknownParent
from pgqueue.graphs import Workflow
from pgqueue.jobs import Handle, NewJob
from pgqueue.operations.dependencies import _link, _parents, hold
from pgqueue.operations.operation import Answers, Operation, Plan, _nothing
from pgqueue.operations.params import _boolean, _instant, as_json
from pgqueue.operations.rows import _chunks, _rows


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
    if len(jobs) == 1 and workflow is None and _is_plain(jobs[0]):
        [id] = yield _enqueue_one(jobs[0], notify, now)
        return [Handle(id, jobs[0].task)]
    parents = _parents(jobs)
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
    for start, end in _chunks(jobs):
        chunk = jobs[start:end]
        rows = _rows(chunk, parents[start:end], joined)
        keys = [job.unique for job in chunk]
        if any(keys):
            answers = yield from _enqueue_unique(rows, keys, notify, now)
            handles += [
                Handle(id, job.task, created, joined if created else None)
                for job, (id, created) in zip(chunk, answers, strict=True)
            ]
        else:
            ids: list[int] = yield _enqueue("enqueue", rows, notify, now)
            handles += [
                Handle(id, job.task, True, joined) for job, id in zip(chunk, ids, strict=True)
            ]
    if any(parents):
        yield from _link(handles, parents, now)
    return handles


def begin(workflow: Workflow, *, now: datetime | None = None) -> Operation[int]:
    """A workflow exists, with its name and tags; answers the id that its jobs share."""
    params = {"name": workflow.name, "tags": as_json(workflow.tags), "now": _instant(now)}
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
    return Operation("wake", {"topics": as_json(sorted(topics))}, _nothing)


def _enqueue(
    name: str, rows: Sequence[str], notify: bool, now: datetime | None
) -> Operation[list[int]]:
    params = {"jobs": f"[{','.join(rows)}]", "notify": _boolean(notify), "now": _instant(now)}
    return Operation(name, params, _numbers)


def _enqueue_one(job: NewJob[Any], notify: bool, now: datetime | None) -> Operation[list[int]]:
    params = {
        "task": job.task,
        "args": job.args,
        "queue": job.queue,
        "priority": str(job.priority),
        "max_attempts": str(job.max_attempts),
        "timeout_seconds": None if job.timeout is None else str(job.timeout.total_seconds()),
        "notify": _boolean(notify),
        "now": _instant(now),
    }
    [row] = _rows([job], [()], None)
    return Operation(
        "enqueue",
        {"jobs": f"[{row}]", "notify": params["notify"], "now": params["now"]},
        _numbers,
        Operation("enqueue_one", params, _numbers),
    )


def _is_plain(job: NewJob[Any]) -> bool:
    """May it run at once, and is there nothing unusual about it?"""
    return not (
        job.edges
        or job.tags
        or job.unique is not None
        or job.run_at is not None
        or job.delay is not None
        or job.metadata is not None
    )


def _enqueue_unique(
    rows: Sequence[str], keys: Sequence[str | None], notify: bool, now: datetime | None
) -> Plan[list[tuple[int, bool]]]:
    """Asks until every key is either ours or held; a holder that finishes meanwhile makes room."""
    answers: dict[int, tuple[int, bool]] = {}
    while asked := [n for n in range(len(rows)) if n not in answers]:
        params = _enqueue("enqueue_unique", [rows[n] for n in asked], notify, now).params
        created, holders = yield Operation("enqueue_unique", params, lambda a: a)
        answers |= {asked[ordinal - 1]: (id, True) for ordinal, id in created}
        held = dict(holders)
        answers |= {
            n: (held[keys[n]], False) for n in asked if n not in answers and keys[n] in held
        }
    return [answers[n] for n in range(len(rows))]


def _numbers(answers: Answers) -> list[int]:
    return [row[0] for row in answers[0]]
