"""What people ask for: of a job, of a workflow, of a queue."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pgqueue.jobs import Handle, State, job_id
from pgqueue.operations.operation import Answers, Operation, nothing
from pgqueue.operations.params import EVERYTHING, as_json, instant, of_ending


def cancel(
    ids: Iterable[int | Handle[Any]] = (),
    *,
    workflow: int | None = None,
    reason: str | None = None,
    keep: frozenset[State] = EVERYTHING,
    now: datetime | None = None,
) -> Operation[dict[int, State]]:
    """Waiting jobs are cancelled at once; a running one is told and answers ``running``.

    With *workflow* all of its jobs, too.
    """
    params = {
        "ids": _ids(ids),
        "workflow": _text(workflow),
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
    """Waiting jobs run now, finished ones become available again.

    With them come back the descendants that were cancelled because of them. With *workflow* all of
    its jobs that failed, too. Answers, for what was asked, ``available``, ``blocked``, ``running``,
    or ``held`` for one whose unique key now belongs to another job.
    """
    params = {"ids": _ids(ids), "workflow": _text(workflow), **of_ending(keep, now)}
    return Operation(
        "retry", params, lambda a: {id: state for rows in a[-2:] for id, state in rows if id}
    )


def pause(queue: str, *, now: datetime | None = None) -> Operation[None]:
    """Claim hands out nothing from *queue*; what runs goes on."""
    return Operation("pause", {"queue": queue, "now": instant(now)}, nothing)


def resume(queue: str) -> Operation[None]:
    """Claim hands out *queue*'s jobs again."""
    return Operation("resume", {"queue": queue}, nothing)


def _ids(ids: Iterable[int | Handle[Any]]) -> str:
    return as_json(sorted({job_id(id) for id in ids}))


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _states(answers: Answers) -> dict[int, State]:
    return {id: State(state) for id, state in answers[0] if id}
