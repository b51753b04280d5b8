"""What waits in one store goes on in another: `pgqueue copy`.

Taken along are jobs that wait, dead letters with the descendants that were cancelled because of
them, and the results that any of these may still want to read; with their edges, workflows,
attempts, errors, keys and times; and queues that are paused. Numbers are the target's own.

Jobs arrive in batches, each in one transaction with the numbers that its jobs have on both sides.
So a copy that was interrupted is started again, and brings what is missing. The order is one in
which nothing is half true in the target, whose workers may run already: what has finished, what
is due later, what can run, in the order of its queue, and then what is blocked, parents first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from graphlib import TopologicalSorter
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec.structs import asdict

from pgqueue import inspections, operations
from pgqueue.errors import PgqueueError
from pgqueue.inspections import Worker
from pgqueue.jobs import State
from pgqueue.operations import Answers, Operation, as_json

T = TypeVar("T")

PAGE: Final = 500
BATCH_BYTES: Final = 4_000_000
NULL: Final = msgspec.Raw(b"null")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS: Final = ("run_at", "enqueued_at", "claimed_at", "finished_at")
ORDER: Final = (
    State.DISCARDED,
    State.CANCELLED,
    State.SCHEDULED,
    State.RETRYABLE,
    State.AVAILABLE,
    State.BLOCKED,
)


class Side(Protocol):
    """One of the two stores."""

    def execute(self, operation: Operation[T]) -> T: ...


class Edge(msgspec.Struct, frozen=True):
    """What a job waits for, or waited for; *parent* is the source's number."""

    parent: int
    policy: str
    outcome: State | None
    name: str | None


class Document(msgspec.Struct, kw_only=True):
    """A job as it travels: what is JSON stays the text that it was."""

    id: int
    task: str
    state: State
    queue: str
    priority: int
    args: msgspec.Raw
    attempt: int
    max_attempts: int
    rescues: int
    run_at: datetime
    enqueued_at: datetime
    claimed_at: datetime | None = None
    finished_at: datetime | None = None
    timeout_seconds: float | None = None
    unique_key: str | None = None
    workflow: int | None = None
    cause: int | None = None
    reason: str | None = None
    result: msgspec.Raw = NULL
    errors: msgspec.Raw = NULL
    progress: msgspec.Raw = NULL
    metadata: msgspec.Raw = NULL
    tags: list[str] | None = None
    edges: list[Edge] = []


class Listed(msgspec.Struct, frozen=True):
    """As much of a job as it takes to put it in order."""

    id: int
    position: int | None = None
    cause: int | None = None


@dataclass
class Report:
    """What there was to copy, by state, and what became of it."""

    jobs: dict[State, int] = field(default_factory=dict)
    brought: int = 0
    results: int = 0
    running: int = 0
    left: list[int] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)


def origin() -> Operation[str]:
    """What a store is called by those who copy from it, whatever its address is today."""
    return Operation("origin", {}, lambda answers: str(answers[0][0][0]))


def restore(
    source: str,
    jobs: Sequence[Document],
    workflows: Sequence[inspections.Workflow],
    *,
    now: datetime | None = None,
) -> Operation[dict[int, int]]:
    """*jobs* of another store are here as they were there, each once; in their order, where they
    are available.

    Answers with the numbers, there and here, of those that this call brought. The parent of an edge
    that is not decided must have been brought before, or be among *jobs*.
    """
    rows = [asdict(job) | {name: _micro(getattr(job, name)) for name in INSTANTS} for job in jobs]
    flows = [
        {
            "id": flow.id,
            "name": flow.name,
            "tags": flow.tags,
            "created_at": _micro(flow.created_at),
        }
        for flow in workflows
    ]
    params = {
        "source": source,
        "jobs": as_json(rows),
        "workflows": as_json(flows),
        "keep": as_json(sorted(operations.EVERYTHING)),
        "now": None if now is None else now.isoformat(),
    }
    return Operation("restore", params, lambda a: {there: here for there, here in a[-1] if there})


class Copier:
    """Copies from *source* to *target*. Raises PgqueueError when they are one store."""

    def __init__(self, source: Side, target: Side) -> None:
        self._source = source
        self._target = target
        self._told: Callable[[int], None] = lambda count: None
        self._origin = source.execute(origin())
        if self._origin == target.execute(origin()):
            raise PgqueueError("the two are one store; there is nothing to copy")
        self._ids: dict[State, list[int]] = {}
        self._known: set[int] = set()
        self._workflows: dict[int, inspections.Workflow] = {}
        self.report = Report()

    def survey(self) -> Report:
        """Says what there is to copy."""
        for state in ORDER:
            found = list(self._listed(state))
            if state == State.CANCELLED:  # what a person cancelled stays behind
                found = [job for job in found if job.cause]
            key = _place if state == State.AVAILABLE else _number
            self._ids[state] = [job.id for job in sorted(found, key=key)]
            self.report.jobs[state] = len(found)
        self._known = {id for ids in self._ids.values() for id in ids}
        self.report.running = sum(1 for _ in self._listed(State.RUNNING))
        return self.report

    def copy(self, told: Callable[[int], None] = lambda count: None) -> Report:
        """Brings what was surveyed, less what an earlier copy has brought.

        *told* is called with the numbers of jobs that are done.
        """
        self._told = told
        for state in ORDER[:-1]:
            for ids in _pages(self._ids[state]):
                self._bring(self._read(ids))
                self._told(len(ids))
        self._bring_blocked()
        for queue in self._source.execute(inspections.queues()):
            if queue.paused_at:
                self._target.execute(operations.pause(queue.name, now=queue.paused_at))
                self.report.paused.append(queue.name)
        return self.report

    def _bring_blocked(self) -> None:
        """What is blocked, after what it waits for; a graft puts parents behind their children."""
        waiting = self._ids[State.BLOCKED]
        there = self._known.difference(waiting)
        while waiting:
            postponed: list[int] = []
            for ids in _pages(waiting):
                jobs = self._read(ids)
                ready = _parents_first(jobs, there)
                self._bring(ready)
                there.update(job.id for job in ready)
                late = {job.id for job in jobs} - there
                postponed += [id for id in ids if id in late]
                self._told(len(ids) - len(late))
            if len(postponed) == len(waiting):
                self.report.left = postponed
                break
            waiting = postponed

    def _bring(self, jobs: Sequence[Document]) -> None:
        wanted = {edge.parent for job in jobs for edge in job.edges if edge.outcome} - self._known
        results = [job for job in self._documents(sorted(wanted)) if job.finished_at]
        flows = {job.workflow: self._workflow(job.workflow) for job in jobs if job.workflow}
        for batch in _batches([*results, *jobs]):
            named = [flow for job in batch if (flow := flows.get(job.workflow or 0))]
            unique = list({flow.id: flow for flow in named}.values())
            brought = self._target.execute(restore(self._origin, batch, unique))
            self.report.brought += len(brought.keys() - wanted)
            self.report.results += len(brought.keys() & wanted)

    def _read(self, ids: Sequence[int]) -> list[Document]:
        """Jobs with their edges, in the order of *ids*; some may have gone meanwhile."""
        found = {job.id: job for job in self._documents(ids)}
        for edge in self._source.execute(inspections.parents(ids)):
            if edge.child in found:
                made = Edge(edge.parent, edge.on_failure, edge.outcome, edge.name)
                found[edge.child].edges = [*found[edge.child].edges, made]
        return [found[id] for id in ids if id in found and found[id].state != State.RUNNING]

    def _documents(self, ids: Sequence[int]) -> list[Document]:
        def decode(answers: Answers) -> list[Document]:
            return [msgspec.json.decode(text, type=Document) for (text,) in answers[0]]

        asked = inspections.get(ids)
        return self._source.execute(Operation(asked.name, asked.params, decode)) if ids else []

    def _listed(self, state: State) -> Iterator[Listed]:
        def decode(answers: Answers) -> list[Listed]:
            return [msgspec.json.decode(text, type=Listed) for (text,) in answers[-1]]

        before: int | None = None
        while True:
            asked = inspections.list_jobs(state=state, before=before, limit=PAGE)
            page = self._source.execute(Operation(asked.name, asked.params, decode))
            yield from page
            if len(page) < PAGE:
                return
            before = page[-1].id

    def _workflow(self, id: int) -> inspections.Workflow | None:
        if id not in self._workflows:
            for flow in self._source.execute(inspections.workflows(id=id, look=1)):
                self._workflows[id] = flow
        return self._workflows.get(id)


def living(source: Side) -> list[Worker]:
    """The workers that serve *source*; jobs of dead ones become available again, as they would
    with any leader."""
    source.execute(operations.rescue())
    source.execute(operations.sweep())
    return source.execute(inspections.workers())


def _parents_first(jobs: Sequence[Document], there: set[int]) -> list[Document]:
    """Those of *jobs* that wait for nothing but what is *there*, and each other; in such an order
    that none comes before its parents."""
    ready = {job.id: job for job in jobs}
    waits_for = {
        job.id: {edge.parent for edge in job.edges if not edge.outcome} - there for job in jobs
    }
    while early := {id for id in ready if not waits_for[id] <= ready.keys()}:
        for id in early:
            del ready[id]
    order = TopologicalSorter({id: waits_for[id] for id in ready})
    return [ready[id] for id in order.static_order()]


def _pages(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), PAGE):
        yield ids[start : start + PAGE]


def _batches(jobs: Iterable[Document]) -> Iterator[list[Document]]:
    """*jobs*, so many at a time as travel well."""
    batch: list[Document] = []
    size = 0
    for job in jobs:
        batch.append(job)
        size += len(job.args) + len(job.result) + len(job.metadata) + 500
        if size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _micro(at: datetime | None) -> int | None:
    """Microseconds since 1970."""
    return None if at is None else (at - EPOCH) // timedelta(microseconds=1)


def _place(job: Listed) -> Any:
    return job.position


def _number(job: Listed) -> Any:
    return job.id
