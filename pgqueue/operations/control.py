"""What people ask for: cancel, retry, move and purge jobs, pause and resume queues."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from pgqueue.jobs import checks
from pgqueue.jobs.job import Handle, State, job_id
from pgqueue.operations.operation import Answers, Operation, nothing
from pgqueue.operations.params import EVERYTHING, as_json, instant, number, of_ending


def cancel(
    ids: Iterable[int | Handle[Any]] = (),
    *,
    workflow: int | None = None,
    states: Collection[State] | None = None,
    reason: str | None = None,
    keep: frozenset[State] = EVERYTHING,
    now: datetime | None = None,
) -> Operation[dict[int, State]]:
    """Cancel jobs, and with *workflow* all of its jobs; answer the state of each.

    Waiting jobs are cancelled at once. A running job is asked to stop, and answers ``running``.
    With *states*, a job that is in none of these by now is left alone.
    """
    params = {
        "ids": _ids(ids),
        "workflow": number(workflow),
        "states": None if states is None else as_json(sorted(states)),
        "reason": reason,
        **of_ending(keep, now),
    }
    return Operation("cancel", params, _states)


def retry(
    ids: Iterable[int | Handle[Any]] = (),
    *,
    workflow: int | None = None,
    keep: frozenset[State] = EVERYTHING,
    now: datetime | None = None,
) -> Operation[dict[int, str]]:
    """Run waiting jobs now, make finished ones available again; with *workflow* all that failed.

    Descendants that were cancelled because of them come back, too. Answers, for what was asked,
    ``available``, ``blocked``, ``running``, or ``held`` for one whose unique key now belongs to
    another job.
    """
    params = {"ids": _ids(ids), "workflow": number(workflow), **of_ending(keep, now)}
    return Operation(
        "retry", params, lambda a: {id: state for rows in a[-2:] for id, state in rows if id}
    )


def move(
    ids: Iterable[int | Handle[Any]], *, queue: str | None = None, priority: int | None = None
) -> Operation[dict[int, State]]:
    """Move waiting jobs to another *queue*, or give them another *priority*; answer their states.

    They take new places there, in the order that they have among themselves. A running job is left
    where it is, and answers ``running``.
    """
    if queue is not None:
        checks.name("move", "queue", queue)
    if priority is not None:
        checks.integer("move", "priority", priority, checks.SMALLEST, checks.LARGEST)
    params = {"ids": _ids(ids), "queue": queue, "priority": number(priority)}
    return Operation("move", params, _states)


def purge(ids: Iterable[int | Handle[Any]]) -> Operation[dict[int, str]]:
    """Delete finished jobs now, whatever their retention.

    Answers ``purged``, or ``wanted`` for one whose result an unfinished child may still read.
    """
    return Operation("purge", {"ids": _ids(ids)}, lambda answers: dict(answers[-1]))


def purge_day(
    states: Collection[State], older: timedelta, *, now: datetime | None = None
) -> Operation[int | None]:
    """Delete the oldest day of finished jobs in *states*, if all of it is *older*, as a whole.

    Answers how many jobs went; None when no such day is left, or none that can go as a whole.
    """
    params = {
        "states": as_json(sorted(states)),
        "older_seconds": str(older.total_seconds()),
        "now": instant(now),
    }
    return Operation("purge_day", params, lambda answers: answers[-1][0][0])


def pause(queue: str, *, now: datetime | None = None) -> Operation[None]:
    """Let nobody claim from *queue*; running jobs go on."""
    return Operation("pause", {"queue": queue, "now": instant(now)}, nothing)


def resume(queue: str) -> Operation[None]:
    """Let workers claim from *queue* again."""
    return Operation("resume", {"queue": queue}, nothing)


def _ids(ids: Iterable[int | Handle[Any]]) -> str:
    return as_json(sorted({job_id(id) for id in ids}))


def _states(answers: Answers) -> dict[int, State]:
    return {id: State(state) for id, state in answers[0] if id}
