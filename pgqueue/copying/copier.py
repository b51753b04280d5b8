"""Copy jobs from one store to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from graphlib import TopologicalSorter
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec.structs import asdict

from pgqueue import operations
from pgqueue.copying.windows import Window, keep_windows, windows
from pgqueue.errors import PgqueueError
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import limits_of
from pgqueue.operations import Answers, Operation, as_json, inspections
from pgqueue.operations.inspections import WorkerInfo

T = TypeVar("T")

PAGE: Final = 500
BATCH_BYTES: Final = 4_000_000
NULL: Final = msgspec.Raw(b"null")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS: Final = ("run_at", "enqueued_at", "claimed_at", "finished_at", "expires_at", "due_at")
ORDER: Final = (
    State.DISCARDED,
    State.CANCELLED,
    State.SCHEDULED,
    State.RETRYABLE,
    State.AVAILABLE,
    State.BLOCKED,
)


class Store(Protocol):
    """One of the two stores."""

    def execute(self, operation: Operation[T]) -> T: ...


class Edge(msgspec.Struct, frozen=True):
    """A dependency of a job, met or not; *parent* is the parent's id in the source."""

    parent: int
    policy: str
    outcome: State | None
    name: str | None


class Document(msgspec.Struct, kw_only=True):
    """A job on its way from one store to another; its JSON stays unparsed text.

    *begun*: it holds its key, if its queue is ordered, until it ends.
    """

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
    key: str | None = None
    workflow: int | None = None
    cause: int | None = None
    reason: str | None = None
    result: msgspec.Raw = NULL
    errors: msgspec.Raw = NULL
    progress: msgspec.Raw = NULL
    metadata: msgspec.Raw = NULL
    tags: list[str] | None = None
    expires_at: datetime | None = None
    keep: bool | None = None
    due_at: datetime | None = None
    begun: bool | None = None
    edges: list[Edge] = []


class Listed(msgspec.Struct, frozen=True):
    """The fields of a job that decide its place in the copy."""

    id: int
    position: int | None = None
    cause: int | None = None


@dataclass
class Report:
    """How many *jobs* there were to copy, by state, and how many were copied."""

    jobs: dict[State, int] = field(default_factory=dict)
    brought: int = 0
    results: int = 0
    running: int = 0
    left: list[int] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    schedules: int = 0
    windows: int = 0


def store_id() -> Operation[str]:
    """Read the store's id, by which copies recognise it at any address."""
    return Operation("store_id", {}, lambda answers: str(answers[0][0][0]))


def copied(source: str, ids: Sequence[int]) -> Operation[dict[int, int]]:
    """Read which of the jobs *ids* of *source* were copied before, and their ids here."""
    return Operation("copied", {"source": source, "ids": as_json(list(ids))}, lambda a: dict(a[0]))


def restore(
    source: str,
    jobs: Sequence[Document],
    workflows: Sequence[inspections.WorkflowSummary],
    *,
    now: datetime | None = None,
) -> Operation[dict[int, int]]:
    """Insert *jobs* of another store here, unchanged, each once; keep their order.

    Answers with the ids, there and here, of the jobs that this call has inserted. The parent of an
    edge without an outcome must have been copied before, or be among *jobs*.
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

    def __init__(self, source: Store, target: Store) -> None:
        self._source = source
        self._target = target
        self._told: Callable[[int], None] = lambda count: None
        self._origin = source.execute(store_id())
        if self._origin == target.execute(store_id()):
            raise PgqueueError("the two are one store; there is nothing to copy")
        self._ids: dict[State, list[int]] = {}
        self._known: set[int] = set()
        self._workflows: dict[int, inspections.WorkflowSummary] = {}
        self.report = Report()

    def survey(self) -> Report:
        """Find what there is to copy, and return the report of it."""
        for state in ORDER:
            jobs = list(self._listed(state))
            if state == State.CANCELLED:  # jobs that a person cancelled are not copied
                jobs = [job for job in jobs if job.cause]
            key = _place if state == State.AVAILABLE else _number
            self._ids[state] = [job.id for job in sorted(jobs, key=key)]
            self.report.jobs[state] = len(jobs)
        self._known = {id for ids in self._ids.values() for id in ids}
        self.report.running = sum(1 for _ in self._listed(State.RUNNING))
        return self.report

    def copy(self, told: Callable[[int], None] = lambda count: None) -> Report:
        """Copy the surveyed jobs, except those that an earlier run has copied.

        *told* is called after each page, with the number of its jobs.
        """
        self._told = told
        self._keep_windows()
        self._copy_queues()
        for state in ORDER[:-1]:
            for ids in _pages(self._ids[state]):
                self._bring(self._read(ids))
                self._told(len(ids))
        self._bring_blocked()
        self._bring_schedules()
        return self.report

    def _copy_queues(self) -> None:
        """Pause the queues that are paused, and set the limits of all.

        Before the jobs: workers of the target may live, and must not run what is paused or limited.
        """
        for queue in self._source.execute(inspections.queues()):
            self._copy_limits(queue)
            if queue.paused_at:
                self._target.execute(operations.pause(queue.name, now=queue.paused_at))
                self.report.paused.append(queue.name)
        for one in self._source.execute(operations.exceptions()):
            self._target.execute(operations.limit_key(one.queue, one.key, one.limits))

    def _keep_windows(self) -> None:
        """Copy unique keys that hold for a time, also those of jobs that are not copied.

        They come first: otherwise a job could be enqueued here with such a key before its holder is
        copied.
        """
        last: Window | None = None
        while page := self._source.execute(windows(last, PAGE)):
            self.report.windows += len(self._target.execute(keep_windows(self._origin, page)))
            last = page[-1]

    def _bring_schedules(self) -> None:
        """Copy schedules as they stand, their watermark too, so that no instant fires twice.

        A schedule that is here already stays as it is. Schedules come last: before all jobs are
        here, a schedule's jobs do not find each other by their keys.
        """
        after: str | None = None
        while True:
            page = self._source.execute(operations.schedules(after=after, limit=PAGE))
            writes = [operations.ScheduleWrite(row, new=True, moved=True) for row in page.rows]
            self.report.schedules += len(self._target.execute(operations.schedule(writes)))
            names = [row.name for row in page.rows] + [row.name for row in page.unreadable]
            if len(names) < PAGE:
                return
            after = max(names)

    def _copy_limits(self, queue: inspections.Queue) -> None:
        """Copy the limits that code has declared for *queue*, and the changes since."""
        if queue.declared:
            self._target.execute(operations.declare_limits(queue.name, limits_of(queue.declared)))
        if queue.changes:
            self._target.execute(operations.limit(queue.name, queue.changes))

    def _bring_blocked(self) -> None:
        """Copy blocked jobs, each after its parents, in several passes over the pages.

        The order of ids is not enough: a graft makes parents that are younger than their children.
        """
        waiting = self._ids[State.BLOCKED]
        there = self._known.difference(waiting)
        while waiting:
            postponed: list[int] = []
            for ids in _pages(waiting):
                jobs = self._read(ids)
                ready = parents_first(jobs, there)
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
        results = [job for job in _documents(self._source, sorted(wanted)) if job.finished_at]
        flows = {job.workflow: self._workflow(job.workflow) for job in jobs if job.workflow}
        for batch in batches([*results, *jobs]):
            self._refuse_twin(batch)
            named = [flow for job in batch if (flow := flows.get(job.workflow or 0))]
            unique = list({flow.id: flow for flow in named}.values())
            brought = self._target.execute(restore(self._origin, batch, unique))
            self.report.brought += len(brought.keys() - wanted)
            self.report.results += len(brought.keys() & wanted)

    def _refuse_twin(self, batch: Sequence[Document]) -> None:
        """Raise PgqueueError when another store with the same id was copied before.

        Two stores that began as the same image or dump have the same store id, and give their own
        jobs the same ids: jobs of the second store would be taken for jobs that are here already. A
        job with a unique key proves nothing: its id here may be that of the job that held the key.
        """
        known = self._target.execute(
            copied(self._origin, [job.id for job in batch if job.unique_key is None])
        )
        there = {job.id: job for job in batch}
        here = {job.id: job for job in _documents(self._target, sorted(known.values()))}
        for number, id in known.items():
            if id in here and _mark(here[id]) != _mark(there[number]):
                raise PgqueueError(
                    f"job {number} is not the one that was copied under this number (here {id}): "
                    "another store that began as the same image or dump was copied before; "
                    "copy this one into a store, or a schema, of its own"
                )

    def _read(self, ids: Sequence[int]) -> list[Document]:
        """Read jobs with their edges, in the order of *ids*; some may be gone or running by now."""
        jobs = {job.id: job for job in _documents(self._source, ids)}
        for row in self._source.execute(inspections.parents(ids)):
            if row.child in jobs:
                edge = Edge(row.parent, row.on_failure, row.outcome, row.name)
                jobs[row.child].edges = [*jobs[row.child].edges, edge]
        return [jobs[id] for id in ids if id in jobs and jobs[id].state != State.RUNNING]

    def _listed(self, state: State) -> Iterator[Listed]:
        def decode(answers: Answers) -> list[Listed]:
            return [msgspec.json.decode(text, type=Listed) for (text,) in answers[-1]]

        before: int | None = None
        while True:
            query = inspections.list_jobs(state=state, before=before, limit=PAGE)
            page = self._source.execute(Operation(query.name, query.params, decode))
            yield from page
            if len(page) < PAGE:
                return
            before = page[-1].id

    def _workflow(self, id: int) -> inspections.WorkflowSummary | None:
        if id not in self._workflows:
            for flow in self._source.execute(inspections.workflows(id=id, look=1)):
                self._workflows[id] = flow
        return self._workflows.get(id)


def living(source: Store) -> list[WorkerInfo]:
    """Return the workers that serve *source*, after rescuing the jobs of dead ones.

    A leader would do that, too, but there may be none.
    """
    source.execute(operations.rescue())
    source.execute(operations.sweep())
    return source.execute(inspections.workers())


def documents(ids: Sequence[int]) -> Operation[list[Document]]:
    """Read jobs by id as documents, without their edges, in no order."""

    def decode(answers: Answers) -> list[Document]:
        return [msgspec.json.decode(text, type=Document) for (text,) in answers[0]]

    query = inspections.get(ids)
    return Operation(query.name, query.params, decode)


def _documents(side: Store, ids: Sequence[int]) -> list[Document]:
    return side.execute(documents(ids)) if ids else []


def _mark(job: Document) -> Any:
    """Return the fields of a job that no operation ever changes, to tell whether two jobs are the
    same."""
    return job.task, job.enqueued_at


def parents_first(jobs: Sequence[Document], there: set[int]) -> list[Document]:
    """Return those of *jobs* that wait only for jobs that are *there*, or for each other.

    No job comes before its parents.
    """
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


def batches(jobs: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield *jobs* in batches of moderate size."""
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
    """Return *at* as microseconds since 1970."""
    return None if at is None else (at - EPOCH) // timedelta(microseconds=1)


def _place(job: Listed) -> Any:
    return job.position


def _number(job: Listed) -> Any:
    return job.id
