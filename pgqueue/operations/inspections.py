"""The verbs that only read: for the command line, the dashboard, and whoever waits for a result."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeVar

import msgspec

from pgqueue.jobs.job import Handle, Job, State, job_id
from pgqueue.jobs.limits import Limits, limits_of
from pgqueue.operations.counting import Count, Counts, Throughput, count, throughput
from pgqueue.operations.limiting import Bounds
from pgqueue.operations.operation import Answers, Operation, Rows
from pgqueue.operations.params import as_json, instant, number

__all__ = [
    "Count",
    "Counts",
    "GraphView",
    "JobEnd",
    "Link",
    "ParentResult",
    "Queue",
    "Server",
    "Situation",
    "Throughput",
    "WaitedFor",
    "WorkerInfo",
    "WorkflowSummary",
    "count",
    "get",
    "graph",
    "list_jobs",
    "parents",
    "queues",
    "result",
    "throughput",
    "version",
    "why",
    "workers",
    "workflows",
]
T = TypeVar("T")
_ENDS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
# Columns whose value is left out where it is not of this type, as a number beyond a float's range.
_FORMS = {"timeout_seconds": float, "tags": tuple[str, ...], "metadata": dict[str, Any]}


class Queue(msgspec.Struct, frozen=True):
    """A queue that has jobs, a worker, or a setting; *waits*: it has jobs that could be claimed.

    *limits* hold now: what is *declared*, and *changes* since; so many *running* jobs count.
    """

    name: str
    paused_at: datetime | None
    workers: int
    waits: bool = False
    limits: Limits | None = None
    declared: dict[str, Any] | None = None
    changes: dict[str, Any] | None = None
    running: int | None = None


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process that is present; *session*: the store sees its death at once.

    *queues*: which it serves now; of those that a pattern means, one joins them when it has jobs.
    *asked*: "quiet", it claims nothing more, or "stop", it finishes what runs and ends.
    """

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
    asked: str | None = None
    info: dict[str, Any] = {}

    @property
    def patterns(self) -> list[str]:
        """The patterns of queues, `--queues "mail*"`, that it serves besides."""
        return _texts(self.info.get("patterns"))

    @property
    def excluded(self) -> list[str]:
        """The names and patterns of queues that none of its patterns means."""
        return _texts(self.info.get("excluded"))

    def serves(self, queue: str) -> bool:
        """Does it serve *queue*, or would it as soon as that has jobs?"""
        meant = any(fnmatchcase(queue, pattern) for pattern in self.patterns)
        return queue in self.queues or (
            meant and not any(fnmatchcase(queue, pattern) for pattern in self.excluded)
        )


def _texts(told: Any) -> list[str]:
    """Return the texts of a list in a worker's info, which somebody may have written by hand."""
    return [each for each in told if isinstance(each, str)] if isinstance(told, list) else []


class ParentResult(NamedTuple):
    """What one parent left for its child; *outcome* is None while it has not finished.

    *on_failure*: what becomes of the child when the parent fails.
    """

    child: int
    parent: int
    name: str | None
    outcome: State | None
    task: str | None
    result: str | None
    on_failure: str = "cancel"


class JobEnd(NamedTuple):
    """How a job ended, or that it has not; *result* and *error* are JSON text."""

    task: str
    state: State
    result: str | None
    reason: str | None
    error: str | None


class WorkflowSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A graph with a name, and its jobs by state; not *exact* when there are more than counted."""

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


class GraphView(NamedTuple):
    """Jobs and the edges between them; *cut* when there are more."""

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
    same_key: bool | None = False


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process, as far as one queue is concerned."""

    name: str
    running: int
    info: dict[str, Any] = {}


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides when a job runs; `pgqueue.doctor.why` says it in a sentence."""

    now: datetime
    job: Job
    parents: list[WaitedFor] = []
    paused_at: datetime | None = None
    workers: list[Server] = []
    worker: dict[str, Any] | None = None
    led: bool = False
    ahead: int = 0
    bounds: Bounds | None = None


def get(ids: Iterable[int | Handle[Any]]) -> Operation[dict[int, Job]]:
    """Read jobs by id; one that is missing never was, or is past its retention."""
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
    """List jobs, the newest first; *before* an id for the next page."""
    params = {
        "state": state,
        "queue": queue,
        "task": task,
        "tag": tag,
        "workflow": number(workflow),
        "before": number(before),
        "limit": str(limit),
    }
    return Operation("list", params, lambda answers: _jobs(answers[-1]))


def queues() -> Operation[list[Queue]]:
    """List the queues that have jobs waiting, a worker, or a setting."""

    def read(row: tuple[Any, ...]) -> Queue:
        name, paused_at, workers, waits, *said, running = row
        limits, declared, changes = (text and msgspec.json.decode(text) for text in said)
        at = msgspec.convert(paused_at, datetime | None)
        meant = {**(declared or {}), **(changes or {})}
        meant = {field: value for field, value in meant.items() if value is not None}
        held = limits_of(meant) if meant or limits is not None else None
        return Queue(name, at, workers, bool(waits), held, declared, changes, running)

    return Operation("queues", {}, lambda answers: [read(row) for row in answers[0]])


def workers() -> Operation[list[WorkerInfo]]:
    """List the worker processes that are present."""
    return Operation(
        "workers",
        {},
        lambda answers: [msgspec.json.decode(text, type=WorkerInfo) for (text,) in answers[0]],
    )


def parents(
    ids: Iterable[int | Handle[Any]], *, after: int = 0, limit: int | None = None
) -> Operation[list[ParentResult]]:
    """Read what the parents of jobs *ids* have left for them, ordered by child and parent.

    *after* and *limit* are for one job with many parents: the next page *after* a parent's id.
    """

    def decode(answers: Answers) -> list[ParentResult]:
        return [
            ParentResult(child, parent, name, None if outcome is None else State(outcome), *rest)
            for child, parent, name, outcome, *rest in answers[0]
        ]

    params = {
        "ids": as_json(sorted({job_id(id) for id in ids})),
        "after": str(after),
        "limit": number(limit),
    }
    return Operation("parents", params, decode)


def result(job: int | Handle[Any]) -> Operation[JobEnd | None]:
    """Read how *job* ended; None when there is no such job."""

    def decode(answers: Answers) -> JobEnd | None:
        for task, state, text, reason, error in answers[0]:
            return JobEnd(task, State(state), text, reason, error)
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
) -> Operation[list[WorkflowSummary]]:
    """List graphs that were given a name, the newest first; *before* an id for the next page.

    Of each, *look* jobs are counted at the most.
    """

    def decode(answers: Answers) -> list[WorkflowSummary]:
        flows = [presented(text, WorkflowSummary) for (text,) in answers[0]]
        return [
            msgspec.structs.replace(flow, exact=sum(flow.states.values()) < look) for flow in flows
        ]

    params = {
        "id": number(id),
        "name": name,
        "tag": tag,
        "before": number(before),
        "limit": str(limit),
        "look": str(look),
    }
    return Operation("workflows", params, decode)


def graph(
    *, workflow: int | None = None, job: int | Handle[Any] | None = None, limit: int = 1_000
) -> Operation[GraphView]:
    """Read the jobs of *workflow*, or all connected with *job*, and the edges between them."""

    def decode(answers: Answers) -> GraphView:
        jobs = [presented(text, Job) for (text,) in answers[-2]]
        edges = [
            Link(parent, child, policy, None if outcome is None else State(outcome), name)
            for parent, child, policy, outcome, name in answers[-1]
        ]
        cut = len(jobs) > limit or len(edges) >= 10 * limit
        return GraphView(jobs[:limit], edges, cut)

    params = {
        "workflow": number(workflow),
        "job": None if job is None else str(job_id(job)),
        "limit": str(limit + 1),
    }
    return Operation("graph", params, decode)


def why(job: int | Handle[Any], *, now: datetime | None = None) -> Operation[Situation | None]:
    """Read all that decides when *job* runs; None if there is no such job. See `doctor.why`."""
    params = {"id": str(job_id(job)), "now": instant(now)}
    return Operation("why", params, lambda a: presented(a[0][0][0], Situation) if a[0] else None)


def version() -> Operation[str | None]:
    """Read the version of the schema. Raises SchemaMissing when there is none."""
    return Operation("version", {}, lambda answers: answers[0][0][0])


def _jobs(rows: Rows) -> list[Job]:
    return [presented(text, Job) for (text,) in rows]


def presented(text: str, kind: type[T]) -> T:
    """Return the JSON document *text* as *kind*; a null, or a field left out, is the default."""
    document = _without_nulls(msgspec.json.decode(text))
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError:
        return msgspec.convert(_readable(document), kind)


def _readable(document: dict[str, Any]) -> dict[str, Any]:
    """Return *document* without what Python has no value for, so that it can be shown at all.

    Otherwise one odd row would hide all others. Instants that a store keeps and a datetime cannot
    hold become the earliest or the latest one.
    """
    readable: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict) and key not in ("args", "metadata", "result"):
            readable[key] = _readable(value)
        elif key.endswith("_at") and not _fits(value, datetime):
            readable[key] = _ENDS[not str(value).startswith("-") and "BC" not in str(value)]
        elif key not in _FORMS or _fits(value, _FORMS[key]):
            readable[key] = value
    return readable


def _fits(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _without_nulls(document: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nulls(value) if key == "job" else value
        for key, value in document.items()
        if value is not None
    }
