"""The verbs that only read: for the command line, the dashboard, and whoever waits for a result."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec

from pgqueue.jobs import Handle, Job, State, job_id
from pgqueue.operations import Answers, Operation, Rows, as_json

T = TypeVar("T")


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
    """What one parent left for its child; *outcome* is None while it has not finished.

    *on_failure*: what becomes of the child when the parent fails."""

    child: int
    parent: int
    name: str | None
    outcome: State | None
    task: str | None
    result: str | None
    on_failure: str = "cancel"


class Ending(NamedTuple):
    """How a job ended, or that it has not; *result* and *error* are JSON text."""

    task: str
    state: State
    result: str | None
    reason: str | None
    error: str | None


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A graph with a name, and its jobs by state; not *exact*: there are more."""

    id: int
    name: str
    created_at: datetime
    tags: tuple[str, ...] = ()
    states: dict[State, int] = {}
    exact: bool = True

    @property
    def unfinished(self) -> int:
        """How many of its jobs have not ended."""
        return sum(n for state, n in self.states.items() if not state.finished)

    @property
    def state(self) -> str:
        """``open`` while a job has not ended; then ``completed``, or ``failed`` if one was not."""
        if self.unfinished:
            return "open"
        bad = self.states.keys() & {State.DISCARDED, State.CANCELLED}
        return "failed" if bad else "completed"


class Link(NamedTuple):
    """An edge of a graph; *outcome* is how the parent ended."""

    parent: int
    child: int
    on_failure: str
    outcome: State | None
    name: str | None


class Graph(NamedTuple):
    """Jobs and the edges between them; *cut*: there are more."""

    jobs: list[Job]
    edges: list[Link]
    cut: bool


class WaitedFor(msgspec.Struct, frozen=True, kw_only=True):
    """A parent that has not finished."""

    id: int
    task: str
    state: State
    run_at: datetime
    claimed_at: datetime | None = None
    worker: str | None = None


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process, as far as one queue is concerned."""

    name: str
    running: int
    info: dict[str, Any] = {}


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides when a job runs; `pgqueue.why` says it in a sentence."""

    now: datetime
    job: Job
    parents: list[WaitedFor] = []
    paused_at: datetime | None = None
    workers: list[Server] = []
    worker: dict[str, Any] | None = None
    led: bool = False
    ahead: int = 0


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
    return Operation(
        "queues",
        {},
        lambda answers: [
            Queue(name, msgspec.convert(paused_at, datetime | None), workers)
            for name, paused_at, workers in answers[0]
        ],
    )


def workers() -> Operation[list[Worker]]:
    """The worker processes that are present."""
    return Operation(
        "workers",
        {},
        lambda answers: [msgspec.json.decode(text, type=Worker) for (text,) in answers[0]],
    )


def parents(
    ids: Iterable[int | Handle[Any]], *, after: int = 0, limit: int | None = None
) -> Operation[list[Outcome]]:
    """What the parents of jobs *ids* have left for them, by child and parent.

    For one job and its many parents: the next *limit* of those *after* an id.
    """

    def decode(answers: Answers) -> list[Outcome]:
        return [
            Outcome(child, parent, name, None if outcome is None else State(outcome), *rest)
            for child, parent, name, outcome, *rest in answers[0]
        ]

    params = {
        "ids": as_json(sorted({job_id(id) for id in ids})),
        "after": str(after),
        "limit": None if limit is None else str(limit),
    }
    return Operation("parents", params, decode)


def result(job: int | Handle[Any]) -> Operation[Ending | None]:
    """How *job* ended; None when there is no such job."""

    def decode(answers: Answers) -> Ending | None:
        for task, state, text, reason, error in answers[0]:
            return Ending(task, State(state), text, reason, error)
        return None

    return Operation("result", {"id": str(job_id(job))}, decode)


def workflows(
    *,
    id: int | None = None,
    name: str | None = None,
    tag: str | None = None,
    before: int | None = None,
    limit: int = 50,
    look: int = 10_000,
) -> Operation[list[Workflow]]:
    """Graphs that were given a name, the newest first; *before* an id for the next page.

    Of each, *look* jobs are counted at the most.
    """

    def decode(answers: Answers) -> list[Workflow]:
        found = [_present(text, Workflow) for (text,) in answers[0]]
        return [
            msgspec.structs.replace(flow, exact=sum(flow.states.values()) < look) for flow in found
        ]

    params = {
        "id": None if id is None else str(id),
        "name": name,
        "tag": tag,
        "before": None if before is None else str(before),
        "limit": str(limit),
        "look": str(look),
    }
    return Operation("workflows", params, decode)


def graph(
    *, workflow: int | None = None, job: int | Handle[Any] | None = None, limit: int = 1_000
) -> Operation[Graph]:
    """The jobs of *workflow*, or all that hang together with *job*, and the edges between them."""

    def decode(answers: Answers) -> Graph:
        jobs = [_present(text, Job) for (text,) in answers[-2]]
        edges = [
            Link(parent, child, policy, None if outcome is None else State(outcome), name)
            for parent, child, policy, outcome, name in answers[-1]
        ]
        cut = len(jobs) > limit or len(edges) >= 10 * limit
        return Graph(jobs[:limit], edges, cut)

    params = {
        "workflow": None if workflow is None else str(workflow),
        "job": None if job is None else str(job_id(job)),
        "limit": str(limit + 1),
    }
    return Operation("graph", params, decode)


def why(job: int | Handle[Any], *, now: datetime | None = None) -> Operation[Situation | None]:
    """All that decides when *job* runs; None when there is no such job. See `pgqueue.why`."""
    params = {"id": str(job_id(job)), "now": None if now is None else now.isoformat()}
    return Operation("why", params, lambda a: _present(a[0][0][0], Situation) if a[0] else None)


def version() -> Operation[str | None]:
    """The schema file that was applied last. Raises SchemaMissing when there is none."""
    return Operation("version", {}, lambda answers: answers[0][0][0])


def _jobs(rows: Rows) -> list[Job]:
    return [_present(text, Job) for (text,) in rows]


def _present(text: str, kind: type[T]) -> T:
    """What a JSON document says; what it says nothing about takes the default."""
    return msgspec.convert(_without_nulls(msgspec.json.decode(text)), kind)


def _without_nulls(document: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nulls(value) if key == "job" else value
        for key, value in document.items()
        if value is not None
    }
