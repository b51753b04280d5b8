"""The verbs that only read: for the command line, the dashboard, and whoever waits for a result."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from pgqueue.jobs import Handle, Job, State, job_id
from pgqueue.operations import Answers, Operation, Rows, as_json


class Queue(msgspec.Struct, frozen=True):
    """A queue that has jobs waiting, a worker, or a setting."""

    name: str
    paused_at: datetime | None
    workers: int


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process that is present; *session*: its death shows at once."""

    id: int
    name: str
    host: str
    pid: int
    queues: list[str]
    running: int
    started_at: datetime
    heartbeat_at: datetime
    suspected_at: datetime | None = None
    session: bool
    leads: bool
    info: dict[str, Any] = {}


class Count(msgspec.Struct, frozen=True, order=True):
    """Live jobs of one queue and state; *oldest* is how long the first of them has been due."""

    queue: str
    state: State
    count: int
    oldest: timedelta


class Counts(NamedTuple):
    """Not *exact*: only so many rows were looked at, there are more."""

    counts: list[Count]
    exact: bool


class Throughput(msgspec.Struct, frozen=True):
    """Jobs that ended in one state lately; *waited* from due to claimed, *ran* from there to the
    end."""

    state: State
    count: int
    waited_p50: timedelta | None
    waited_p99: timedelta | None
    ran_p50: timedelta | None
    ran_p99: timedelta | None


class Outcome(NamedTuple):
    """What one parent left for its child; *outcome* is None while it has not finished."""

    child: int
    parent: int
    name: str | None
    outcome: State | None
    task: str | None
    result: str | None


class Ending(NamedTuple):
    """How a job ended, or that it has not; *result* and *error* are JSON text."""

    task: str
    state: State
    result: str | None
    reason: str | None
    error: str | None


def get(ids: Iterable[int | Handle[Any]]) -> Operation[dict[int, Job]]:
    """Jobs by id, live or finished; one that is missing never was, or is past its retention."""
    params = {"ids": as_json(sorted({job_id(id) for id in ids}))}
    return Operation("get", params, lambda answers: {job.id: job for job in _jobs(answers[0])})


def list_jobs(
    *,
    state: State | None = None,
    queue: str | None = None,
    task: str | None = None,
    tag: str | None = None,
    workflow: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Operation[list[Job]]:
    """Jobs, the newest first; *before* an id for the next page."""
    params = {
        "state": state,
        "queue": queue,
        "task": task,
        "tag": tag,
        "workflow": None if workflow is None else str(workflow),
        "before": None if before is None else str(before),
        "limit": str(limit),
    }
    return Operation("list", params, lambda answers: _jobs(answers[-1]))


def count(limit: int = 100_000) -> Operation[Counts]:
    """Live jobs by queue and state, having looked at *limit* rows at the most."""

    def decode(answers: Answers) -> Counts:
        rows = answers[0]
        counts = [
            Count(queue, State(state), n, timedelta(seconds=oldest))
            for queue, state, n, oldest, _ in rows
        ]
        return Counts(sorted(counts), all(row[4] for row in rows))

    return Operation("count", {"limit": str(limit)}, decode)


def throughput(
    since: timedelta = timedelta(seconds=60), limit: int = 10_000
) -> Operation[list[Throughput]]:
    """What finished lately, and how long it took."""

    def decode(answers: Answers) -> list[Throughput]:
        return [
            Throughput(
                State(state), n, *(None if s is None else timedelta(seconds=s) for s in durations)
            )
            for state, n, *durations in answers[0]
        ]

    params = {"seconds": str(since.total_seconds()), "limit": str(limit)}
    return Operation("throughput", params, decode)


def queues() -> Operation[list[Queue]]:
    """Every queue that has jobs waiting, a worker, or a setting."""
    return Operation("queues", {}, lambda answers: [Queue(*row) for row in answers[0]])


def workers() -> Operation[list[Worker]]:
    """The worker processes that are present."""
    return Operation(
        "workers",
        {},
        lambda answers: [msgspec.json.decode(text, type=Worker) for (text,) in answers[0]],
    )


def parents(ids: Iterable[int | Handle[Any]]) -> Operation[list[Outcome]]:
    """What the parents of jobs *ids* have left for them."""

    def decode(answers: Answers) -> list[Outcome]:
        return [
            Outcome(child, parent, name, None if outcome is None else State(outcome), task, result)
            for child, parent, name, outcome, task, result in answers[0]
        ]

    return Operation("parents", {"ids": as_json(sorted({job_id(id) for id in ids}))}, decode)


def result(job: int | Handle[Any]) -> Operation[Ending | None]:
    """How *job* ended; None when there is no such job."""

    def decode(answers: Answers) -> Ending | None:
        for task, state, text, reason, error in answers[0]:
            return Ending(task, State(state), text, reason, error)
        return None

    return Operation("result", {"id": str(job_id(job))}, decode)


def version() -> Operation[str | None]:
    """The schema file that was applied last. Raises SchemaMissing when there is none."""
    return Operation("version", {}, lambda answers: answers[0][0][0])


def _jobs(rows: Rows) -> list[Job]:
    documents = (msgspec.json.decode(text) for (text,) in rows)
    return [
        msgspec.convert({k: v for k, v in document.items() if v is not None}, Job)
        for document in documents
    ]
