"""The verbs that change something, each a pure function that describes one operation.

An ``Operation`` names a statement file, gives its parameters and says how to read the answer; a
backend carries it out. Nothing here does I/O, so the same description serves blocking and async
callers, every store, and the caller's own transaction. What takes several operations is a ``Plan``:
a generator that yields operations and is sent their answers.

Instants (*now*) are for tests; without one the store's clock rules.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from pgqueue import checks
from pgqueue.errors import LeaseLost, PgqueueError, UnknownParent
from pgqueue.graphs import Workflow
from pgqueue.hands import Completion
from pgqueue.jobs import FINISHED, Edge, Handle, NewJob, State, job_id

T = TypeVar("T")
Rows: TypeAlias = Sequence[tuple[Any, ...]]
Answers: TypeAlias = Sequence[Rows]
Param: TypeAlias = str | None

EVERYTHING = frozenset(FINISHED)
CHUNK = 1_000
CHUNK_CHARACTERS = 16_000_000  # a JSON document has its limits, 256 MiB in PostgreSQL


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One statement file to run, with its parameters as text, and how to read what it answers."""

    name: str
    params: Mapping[str, Param] = field(repr=False)
    decode: Callable[[Answers], T] = field(repr=False)
    brief: Operation[T] | None = field(default=None, repr=False)
    """The same in fewer words, for a store that has a shorter statement for it."""


Plan: TypeAlias = Generator[Operation[Any], Any, T]


class ClaimedJob(msgspec.Struct, frozen=True, gc=False):
    """A job in a worker's hands: what it takes to run it, and the lease to finish it."""

    id: int
    priority: int
    position: int
    attempt: int
    task: str
    args: str
    max_attempts: int
    timeout_seconds: float | None
    run_at: float
    rescues: int
    progress: str | None
    metadata: str | None
    tags: list[str] | None
    workflow: int | None
    queue: str
    lease: int

    def __repr__(self) -> str:
        """Without its arguments: a log should not know them."""
        return f"<ClaimedJob {self.id}, {self.task}, attempt {self.attempt}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("task", self.task), ("attempt", self.attempt)]


class Floor(NamedTuple):
    """Everything of this queue up to *position* at *priority* is taken, as far as one knows."""

    priority: int
    position: int


class Completed(NamedTuple):
    """An attempt that succeeded; *result* is JSON text, None when there is none."""

    id: int
    lease: int
    result: str | None = None

    def __repr__(self) -> str:
        return f"Completed(id={self.id}, lease={self.lease})"


class Failed(NamedTuple):
    """An attempt that did not; *error* is JSON text {type, message, traceback}."""

    id: int
    lease: int
    verdict: Literal["retry", "discard", "cancel"]
    retry_in: timedelta | None = None
    reason: str | None = None
    error: str | None = None


class Told(dict[tuple[int, int], bool]):
    """What was completed; *freed*: the queues in which children can run now."""

    freed: Sequence[str] = ()


class Released(NamedTuple):
    """A job handed back, to run again after *delay*."""

    id: int
    lease: int
    delay: timedelta | None = None


class Progress(NamedTuple):
    """What a running job says of itself; *progress* is JSON text {fraction, note, checkpoint}."""

    id: int
    lease: int
    progress: str


class Held(NamedTuple):
    """A lease that still holds."""

    id: int
    lease: int
    cancel_requested: bool


class Membership(NamedTuple):
    """A worker's identity, and the first of the ten million leases it may give out."""

    worker: int
    lease: int


class Promoted(NamedTuple):
    """How many jobs became available, by queue; *next_due* is None when none is waiting."""

    queues: dict[str, int]
    next_due: timedelta | None


class Rescued(NamedTuple):
    """A job taken from a dead worker."""

    id: int
    state: State
    worker: int
    task: str


class Rescue(NamedTuple):
    """What was rescued, and how many workers are left."""

    jobs: list[Rescued]
    workers: int


class Sweep(NamedTuple):
    """What should not exist, and was mended."""

    stranded: int
    orphaned: int


class Leadership(NamedTuple):
    """Who leads; *worker* is None when another candidate won in this very moment."""

    elected: bool
    worker: int | None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long finished jobs are kept, by how they ended; 0 is not at all, None for ever.

    Durations are timedeltas or seconds. Raises TypeError or ValueError for what is none.
    """

    completed: timedelta | float | None = timedelta(days=1)
    cancelled: timedelta | float | None = timedelta(days=7)
    discarded: timedelta | float | None = timedelta(days=30)

    def __post_init__(self) -> None:
        for state in ("completed", "cancelled", "discarded"):
            if (kept := getattr(self, state)) is not None:
                try:
                    object.__setattr__(self, state, checks.to_duration(kept))
                except (TypeError, ValueError) as error:
                    raise type(error)(f"Retention: {state}: {error}") from None

    def seconds(self) -> dict[str, float | None]:
        """Seconds by state."""
        durations = {
            state: getattr(self, state) for state in ("completed", "cancelled", "discarded")
        }
        return {state: d if d is None else d.total_seconds() for state, d in durations.items()}

    def kept(self) -> frozenset[State]:
        """The states whose jobs are kept at all."""
        return frozenset(State(state) for state, kept in self.seconds().items() if kept != 0)


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


def is_simple(jobs: Sequence[NewJob[Any]]) -> bool:
    """Is enqueueing *jobs* a single statement, which needs no transaction around it?"""
    if len(jobs) == 1:
        return not jobs[0].edges and jobs[0].unique is None
    return len(jobs) <= CHUNK and (
        not any(job.edges or job.unique is not None for job in jobs)
        and sum(1 for _ in _chunks(jobs)) <= 1
    )


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


def hold(ids: Sequence[int]) -> Operation[set[int]]:
    """Keeps jobs from finishing until the transaction ends; answers which of *ids* exist."""
    return Operation("hold", {"ids": as_json(ids)}, lambda a: {id for rows in a for (id,) in rows})


def claim(
    queue: str,
    worker: int,
    lease: int,
    limit: int,
    *,
    floors: Sequence[Floor] = (),
    now: datetime | None = None,
) -> Operation[list[ClaimedJob]]:
    """Up to *limit* jobs for *worker*, most urgent first, attempt + 1, under *lease*.

    *lease* is a number of the worker's block that no other claim was given. *floors*, ascending by
    priority, say where to start; without them the whole queue is looked at.
    """

    def decode(answers: Answers) -> list[ClaimedJob]:
        jobs = [ClaimedJob(*row, lease) for row in answers[0]]  # type: ignore[call-arg]
        jobs.sort(key=lambda job: (job.priority, job.position))
        return jobs

    params = {
        "queue": queue,
        "worker": str(worker),
        "lease": str(lease),
        "limit": str(limit),
        "floors": _segments(floors),
        "now": _instant(now),
    }
    return Operation("claim", params, decode)


def recall(worker: int, lease: int) -> Operation[list[ClaimedJob]]:
    """What the claim under *lease* took, if its answer never came because the connection broke."""
    return Operation(
        "recall",
        {"worker": str(worker), "lease": str(lease)},
        lambda answers: [ClaimedJob(*row, lease) for row in answers[0]],  # type: ignore[call-arg]
    )


def complete(
    jobs: Sequence[Completed],
    *,
    keep: frozenset[State] = EVERYTHING,
    now: datetime | None = None,
) -> Operation[Told]:
    """Finishes *jobs* and unblocks their children.

    Answers for (id, lease) of those completed under that lease: True by this call, False by an
    earlier one; and where there is new work now.
    """
    claimed = []
    for lease, group in itertools.groupby(sorted(jobs), itemgetter(1)):
        together = list(group)
        ids = ",".join([str(id) for id, _, _ in together])
        results = ",".join([f'"{id}":{result}' for id, _, result in together if result])
        claimed.append(f'{{"lease":{lease},"ids":[{ids}],"results":{{{results}}}}}')
    params = {"jobs": f"[{','.join(claimed)}]", **_ending(keep, now)}

    def decode(answers: Answers) -> Told:
        now, earlier, [(_, queues)] = answers
        if now and (isolation := now[0][2]) != "read committed":
            raise PgqueueError(
                f"a job cannot be completed in a {isolation} transaction: it would miss a child "
                "that is added meanwhile; roll back, and use READ COMMITTED"
            )
        told = Told(dict.fromkeys(earlier, False))
        told |= {(id, lease): True for id, lease, _ in now if id}
        told.freed = queues or ()
        return told

    return Operation("complete", params, decode)


def completing(
    job: ClaimedJob,
    completion: Completion,
    keep: frozenset[State] = EVERYTHING,
    *,
    now: datetime | None = None,
) -> Plan[None]:
    """Completes *job*, with the jobs that appear with it, in a transaction of the task's own.

    Raises LeaseLost when it is another worker's by now: then the transaction must be rolled back.
    """
    # After it, its unique key is free; before it, it can be a parent, also where it is not kept.
    before = completion.jobs if completion.graft or _follow(completion.jobs, job.id) else ()
    after = () if before else completion.jobs
    handles = yield from enqueue(before, workflow=job.workflow, now=now)
    if completion.graft:
        ends = _ends(completion.graft)
        ids = [h.id for h, new in zip(handles, completion.jobs, strict=True) if id(new) in ends]
        if not (yield graft(job, ids)):
            raise _lost(job)
    completed = Completed(job.id, job.lease, completion.result)
    answer = yield complete([completed], keep=keep, now=now)
    if not answer.get((job.id, job.lease)):
        raise _lost(job)
    yield from enqueue(after, workflow=job.workflow, now=now)
    for workflow in completion.workflows:
        yield from enqueue(workflow.jobs, workflow=workflow, now=now)


def graft(job: ClaimedJob, ids: Sequence[int]) -> Operation[bool]:
    """The children of *job* wait for jobs *ids* too, which this transaction has enqueued.

    Answers False when the lease is lost: then the transaction must be rolled back.
    """
    params = {"id": str(job.id), "lease": str(job.lease), "jobs": as_json(ids)}
    return Operation("graft", params, lambda a: bool(a[0]))


def fail(
    jobs: Sequence[Failed], *, keep: frozenset[State] = EVERYTHING, now: datetime | None = None
) -> Operation[dict[tuple[int, int], State]]:
    """Ends attempts that went wrong; answers what became of each whose lease held.

    A retry is ``retryable`` (``available`` without a delay), or ``discarded`` when the attempts are
    used up.
    """
    rows = [
        {
            "id": job.id,
            "lease": job.lease,
            "verdict": job.verdict,
            "retry_in_seconds": _seconds(job.retry_in),
            "reason": job.reason,
            "error": _raw(job.error),
        }
        for job in sorted(jobs)
    ]
    return Operation("fail", {"jobs": as_json(rows), **_ending(keep, now)}, _states_by_lease)


def busy(leases: Iterable[tuple[int, int]]) -> Operation[set[tuple[int, int]]]:
    """Which of *leases*, (job id, lease), somebody else's transaction keeps from finishing now."""
    rows = [{"id": id, "lease": lease} for id, lease in leases]
    return Operation("busy", {"jobs": as_json(rows)}, lambda a: {(id, lse) for id, lse in a[0]})


def release(
    jobs: Sequence[Released], *, keep: frozenset[State] = EVERYTHING, now: datetime | None = None
) -> Operation[dict[tuple[int, int], State]]:
    """Hands *jobs* back without spending the attempt; one that was asked to cancel is cancelled."""
    rows = [
        {"id": id, "lease": lease, "delay_seconds": _seconds(delay)}
        for id, lease, delay in sorted(jobs)
    ]
    return Operation("release", {"jobs": as_json(rows), **_ending(keep, now)}, _states_by_lease)


def progress(jobs: Sequence[Progress]) -> Operation[set[tuple[int, int]]]:
    """Keeps what running jobs report; answers (id, lease) of those whose lease still holds."""
    rows = [{"id": id, "lease": lease, "progress": _raw(text)} for id, lease, text in sorted(jobs)]
    return Operation("progress", {"jobs": as_json(rows)}, lambda a: {(id, lse) for id, lse in a[0]})


def heartbeat(
    worker: int,
    leases: Iterable[tuple[int, int]],
    profile: Mapping[str, Any],
    *,
    session: bool = False,
    now: datetime | None = None,
) -> Operation[dict[tuple[int, int], Held]]:
    """This worker lives; answers what of *leases*, (job id, lease), it still holds."""
    held = list(leases)
    params = {
        "worker": str(worker),
        "running": str(len(held)),
        "jobs": as_json([{"id": id, "lease": lease} for id, lease in held]),
        "profile": as_json(profile),
        "session": _boolean(session),
        "now": _instant(now),
    }
    return Operation("heartbeat", params, lambda a: {(row[0], row[1]): Held(*row) for row in a[-1]})


def join(
    profile: Mapping[str, Any], *, session: bool = False, now: datetime | None = None
) -> Operation[Membership]:
    """A worker process enters. *profile*: name, host, pid, queues, started_at, info."""
    params = {"profile": as_json(profile), "session": _boolean(session), "now": _instant(now)}
    return Operation("join", params, lambda a: Membership(*a[0][0][:2]))


def leave(worker: int) -> Operation[None]:
    """A worker process goes, with nothing left in its hands."""
    return Operation("leave", {"worker": str(worker)}, _nothing)


def reserve() -> Operation[int]:
    """Another block of ten million leases; answers the first."""
    return Operation("reserve", {}, lambda a: int(a[0][0][0]))


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
        **_ending(keep, now),
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
    params = {"ids": _ids(ids), "workflow": _text(workflow), **_ending(keep, now)}
    return Operation(
        "retry", params, lambda a: {id: state for rows in a[-2:] for id, state in rows if id}
    )


def pause(queue: str, *, now: datetime | None = None) -> Operation[None]:
    """Claim hands out nothing from *queue*; what runs goes on."""
    return Operation("pause", {"queue": queue, "now": _instant(now)}, _nothing)


def resume(queue: str) -> Operation[None]:
    """Claim hands out *queue*'s jobs again."""
    return Operation("resume", {"queue": queue}, _nothing)


def promote(limit: int = 1_000, *, now: datetime | None = None) -> Operation[Promoted]:
    """Due scheduled and retryable jobs become available, the longest due first."""

    def decode(answers: Answers) -> Promoted:
        *queues, (_, _, seconds, _) = answers[0]
        next_due = None if seconds is None else timedelta(seconds=seconds)
        return Promoted({queue: count for queue, count, _, _ in queues}, next_due)

    return Operation("promote", {"limit": str(limit), "now": _instant(now)}, decode)


def rescue(
    *,
    patience: timedelta = timedelta(seconds=1),
    frozen: timedelta = timedelta(seconds=60),
    max_rescues: int = 3,
    keep: frozenset[State] = EVERYTHING,
    now: datetime | None = None,
) -> Operation[Rescue]:
    """The jobs of dead workers become available, or discarded after *max_rescues*.

    Dead is a worker whose presence lock has been seen free for *patience*, or who gave no heartbeat
    for
    *frozen*, whatever its lock says.
    """

    def decode(answers: Answers) -> Rescue:
        *jobs, (_, workers, _, _) = answers[-1]
        return Rescue(
            [Rescued(id, State(state), worker, task) for id, state, worker, task in jobs],
            int(workers),
        )

    params = {
        "patience_seconds": str(patience.total_seconds()),
        "frozen_seconds": str(frozen.total_seconds()),
        "max_rescues": str(max_rescues),
        **_ending(keep, now),
    }
    return Operation("rescue", params, decode)


def prune(retention: Retention, *, now: datetime | None = None) -> Operation[tuple[int, int]]:
    """What is past its retention goes; answers how many partitions, and how many single rows."""
    params = {"retention": as_json(retention.seconds()), "now": _instant(now)}
    return Operation("prune", params, lambda a: (a[-1][0][0], a[-1][0][1]))


def sweep(
    limit: int = 1_000, *, keep: frozenset[State] = EVERYTHING, now: datetime | None = None
) -> Operation[Sweep]:
    """Finds, mends and counts what should not exist: stranded children, running jobs without a
    worker."""
    return Operation(
        "sweep", {"limit": str(limit), **_ending(keep, now)}, lambda a: Sweep(*a[0][0])
    )


def elect(
    name: str, worker: int, term: timedelta, *, now: datetime | None = None
) -> Operation[Leadership]:
    """*worker* stays or becomes the leader, unless another one is."""
    params = {
        "name": name,
        "worker": str(worker),
        "term_seconds": str(term.total_seconds()),
        "now": _instant(now),
    }
    return Operation(
        "elect",
        params,
        lambda a: Leadership(bool(a[0][0][1]), a[0][0][0]) if a[0] else Leadership(False, None),
    )


def resign(name: str, worker: int) -> Operation[None]:
    """The leader steps down; whoever asks next leads."""
    return Operation("resign", {"name": name, "worker": str(worker)}, _nothing)


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


def _parents(jobs: Sequence[NewJob[Any]]) -> list[list[tuple[int, Edge]]]:
    """Each job's parents: the id of one that exists, or minus its place in the call, from 0."""
    if not any(job.edges for job in jobs):
        return [[]] * len(jobs)
    places: dict[int, int] = {}
    parents: list[list[tuple[int, Edge]]] = []
    for n, job in enumerate(jobs):
        edges: dict[int, Edge] = {}
        for edge in job.edges:
            if not isinstance(edge.parent, NewJob):
                parent = job_id(edge.parent)
            elif (place := places.get(id(edge.parent))) is not None:
                parent = -place
            else:
                raise UnknownParent(
                    f"{job.task}: its parent {edge.parent.task} comes later or is not in this "
                    "call; enqueue parents before or together with their children, in order",
                    task=job.task,
                    parameter="after",
                )
            edges.setdefault(parent, edge)
        parents.append(list(edges.items()))
        places[id(job)] = n
    return parents


def _chunks(jobs: Sequence[NewJob[Any]]) -> Iterator[tuple[int, int]]:
    """Where to cut *jobs*, so that each piece is a document of moderate size."""
    if len(jobs) == 1:
        yield 0, 1
        return
    start = size = 0
    for n, job in enumerate(jobs):
        length = len(job.args) + len(job.metadata or "")
        if n - start == CHUNK or (size + length > CHUNK_CHARACTERS and n > start):
            yield start, n
            start, size = n, 0
        size += length
    if start < len(jobs):
        yield start, len(jobs)


def _link(
    handles: Sequence[Handle[Any]],
    parents: Sequence[Sequence[tuple[int, Edge]]],
    now: datetime | None,
) -> Plan[None]:
    rows: list[dict[str, Any]] = []
    merged: list[dict[str, Any]] = []
    new = {handle.id for handle in handles if handle.created}
    for handle, edges in zip(handles, parents, strict=True):
        if not handle.created:
            continue
        resolved = {(p if p > 0 else handles[-p].id): edge for p, edge in reversed(edges)}
        rows += [_edge(handle.id, parent, edge) for parent, edge in resolved.items()]
        if len(resolved) < len(edges):
            merged.append({"child": handle.id, "blocked_by": len(resolved)})
    for start in range(0, len(rows), 5 * CHUNK):
        chunk = rows[start : start + 5 * CHUNK]
        params = {
            "edges": as_json(chunk),
            "merged": as_json(merged if start == 0 else []),
            "elsewhere": as_json(sorted({row["parent"] for row in chunk} - new)),
            **_ending(EVERYTHING, now),
        }
        yield Operation("link", params, _nothing)


def _ends(jobs: Sequence[NewJob[Any]]) -> set[int]:
    """Which of *jobs* no other one waits for, by identity."""
    return {id(job) for job in jobs} - {id(edge.parent) for job in jobs for edge in job.edges}


def _follow(jobs: Sequence[NewJob[Any]], parent: int) -> bool:
    """Does one of *jobs* wait for job *parent*?"""
    edges = (edge.parent for job in jobs for edge in job.edges)
    return any(not isinstance(p, NewJob) and job_id(p) == parent for p in edges)


def _lost(job: ClaimedJob) -> LeaseLost:
    return LeaseLost(f"{job.task}: job {job.id} is another worker's by now; roll back")


def _edge(child: int, parent: int, edge: Edge) -> dict[str, Any]:
    row: dict[str, Any] = {"child": child, "parent": parent, "policy": edge.on_failure}
    if edge.name is not None:
        row["name"] = edge.name
    return row


def _rows(
    jobs: Sequence[NewJob[Any]], parents: Sequence[Sequence[object]], workflow: int | None
) -> list[str]:
    """What the statement needs to know of each job, as JSON; what is left out takes the default.

    The first of those that become available alike wakes sleepers for all of them.
    """
    rows = []
    told = set()
    for job, edges in zip(jobs, parents, strict=True):
        row = _beginning(
            job.task, job.queue, job.priority, job.max_attempts, job.timeout, job.tags, workflow
        )
        row += job.args
        run_at, delay = job.run_at, job.delay
        if run_at is not None:
            row += f',"run_at":{as_json(run_at)}'
        if delay is not None:
            row += f',"delay_seconds":{delay.total_seconds()}'
        if job.unique is not None:
            row += f',"unique_key":{as_json(job.unique)}'
        if job.metadata is not None:
            row += f',"metadata":{job.metadata}'
        if edges:
            row += f',"blocked_by":{len(edges)}'
        elif (topic := (job.queue, run_at, delay)) not in told:
            told.add(topic)
            row += ',"wake":true'
        rows.append(f"{row}}}")
    return rows


@lru_cache(256)
def _beginning(
    task: str,
    queue: str,
    priority: int,
    max_attempts: int,
    timeout: timedelta | None,
    tags: tuple[str, ...],
    workflow: int | None,
) -> str:
    """A row up to its arguments: what the jobs of a task share is written once."""
    row: dict[str, Any] = {"task": task}
    if queue != "default":
        row["queue"] = queue
    if priority:
        row["priority"] = priority
    if max_attempts != 10:
        row["max_attempts"] = max_attempts
    if timeout is not None:
        row["timeout_seconds"] = timeout.total_seconds()
    if tags:
        row["tags"] = tags
    if workflow is not None:
        row["workflow"] = workflow
    return f'{as_json(row)[:-1]},"args":'


def _segments(floors: Sequence[Floor]) -> str:
    """The whole order of a queue, cut at the floors, without gaps: an unknown priority is found
    too."""
    starts = [Floor(-32_769, 0), *floors]
    ends = [*(floor.priority for floor in floors), 32_768]
    return as_json(
        [
            {"priority": priority, "position": position, "below": below}
            for (priority, position), below in zip(starts, ends, strict=True)
        ]
    )


def _ending(keep: frozenset[State], now: datetime | None) -> dict[str, Param]:
    return {"keep": as_json(sorted(keep)), "now": _instant(now)}


def _ids(ids: Iterable[int | Handle[Any]]) -> str:
    return as_json(sorted({job_id(id) for id in ids}))


def _states(answers: Answers) -> dict[int, State]:
    return {id: State(state) for id, state in answers[0] if id}


def _states_by_lease(answers: Answers) -> dict[tuple[int, int], State]:
    return {(id, lease): State(state) for id, lease, state in answers[0] if id}


def _numbers(answers: Answers) -> list[int]:
    return [row[0] for row in answers[0]]


def _nothing(answers: Answers) -> None:
    return None


def as_json(value: Any) -> str:
    """A parameter that carries many rows, as one JSON document."""
    return msgspec.json.encode(value).decode()


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _instant(now: datetime | None) -> str | None:
    return None if now is None else now.isoformat()


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
