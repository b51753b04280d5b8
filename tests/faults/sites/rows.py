"""The producer's rows, as JSON, in whatever store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec

from pgqueue.jobs.job import Handle, NewJob
from pgqueue.jobs.schedules.rows import Scheduled
from tests.faults import timetable
from tests.faults.facts import Job, Made, Order, Parent
from tests.faults.orders import Draft


def row(draft: Draft, handle: Handle[Any], asked_at: float) -> dict[str, Any]:
    """What is kept of an order."""
    return {
        "key": draft.key,
        "job": handle.id,
        "created": handle.created,
        "plan": draft.plan,
        "executor": draft.executor,
        "asked_at": asked_at,
        "unique": draft.unique,
        "started": draft.started,
        "outcome": handle.outcome,
        "delay": draft.delay or 0.0,
        "parents": [asdict(parent) for parent in draft.parents],
    }


def order(row: Mapping[str, Any]) -> Order:
    """An order as it was kept."""
    parents = tuple(Parent(**parent) for parent in row["parents"])
    return Order(**{**row, "parents": parents})


def jobs(drafts: Sequence[Draft], handles: Mapping[int, Handle[Any]]) -> list[NewJob[Any]]:
    """The jobs for *drafts*, whose parents are among them or have *handles*."""
    above: dict[int, NewJob[Any] | Handle[Any]] = dict(handles)
    made = []
    for draft in drafts:
        job = draft.job(above)
        above[draft.key] = job
        made.append(job)
    return made


def job(
    id: int,
    key: int | None,
    state: str,
    result: str | None,
    schedule: Mapping[str, Any] | None,
    run_at: str,
) -> Job:
    """A job as it is in the end; *schedule* is what its metadata says of the one that made it."""
    if schedule is None:
        assert key is not None
        return Job(id, key, state, result)
    known = msgspec.convert(schedule, Scheduled)
    due = datetime.fromisoformat(run_at).astimezone(UTC)
    made = Made(known.name, known.instant, known.previous, known.missed, known.manual, due)
    return Job(id, timetable.key(known.name, known.instant), state, result, made)


def free(drafts: Sequence[Draft], handles: Sequence[Handle[Any]]) -> dict[int, Handle[Any]]:
    """The orders that later ones may wait for, by key."""
    pairs = zip(drafts, handles, strict=True)
    return {draft.key: handle for draft, handle in pairs if handle.created and not draft.unique}
