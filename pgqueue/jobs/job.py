"""Jobs as values: `NewJob` before the enqueue, `Handle` after it, `Job` as the store shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, overload

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import force_setattr

from pgqueue.jobs import checks, jsontext
from pgqueue.jobs.shown import Shown
from pgqueue.jobs.unique import Outcome, Unique

R_co = TypeVar("R_co", covariant=True)

OnFailure: TypeAlias = Literal["cancel", "run"]
Parent: TypeAlias = "NewJob[Any] | Handle[Any] | Job | int"
EnqueueHook: TypeAlias = "Callable[[NewJob[Any]], NewJob[Any]]"


class State(StrEnum):
    """The state of a job, with the same words as in the database."""

    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    AVAILABLE = "available"
    RUNNING = "running"
    RETRYABLE = "retryable"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"

    @property
    def finished(self) -> bool:
        return self in FINISHED


FINISHED: Final = frozenset({State.COMPLETED, State.CANCELLED, State.DISCARDED})


class Handle(Shown, msgspec.Struct, Generic[R_co], frozen=True, gc=False):
    """An enqueued job.

    *created* is False when another job held its unique key: then *id* is that job's. *outcome* says
    more: "created"; "existing": nothing was added; "replaced": the waiting job took over this one's
    values; "next": a job was created, and waits behind the running one.
    """

    id: int
    task: str
    created: bool = True
    workflow: int | None = None
    outcome: Outcome = "created"


class Edge(msgspec.Struct, frozen=True, eq=False):
    """A *parent* that a job waits for, the job's *name* for it, and what follows if it fails."""

    parent: NewJob[Any] | Handle[Any] | int
    on_failure: OnFailure = "cancel"
    name: str | None = None


class NewJob(msgspec.Struct, Generic[R_co], frozen=True, eq=False, gc=False):
    """A job that is not enqueued yet: an immutable value, equal only to itself.

    `task.job(...)` makes one with typed arguments. Made directly, for a task whose code is
    elsewhere, it takes *args* as the text of a JSON object. Every field is checked here; an
    `InvalidJob` names the task and the parameter.

    *on_enqueue*: the hooks, of the application that declared its task, that change it when it is
    enqueued; empty after that. *uniqueness*: how long its unique key holds, and what a duplicate
    does; None for the rule of ``unique=True``.
    """

    task: str
    args: str = "{}"
    queue: str = "default"
    priority: int = 0
    run_at: datetime | None = None
    delay: timedelta | None = None
    max_attempts: int = 10
    timeout: timedelta | None = None
    unique: str | None = None
    key: str | None = None
    edges: tuple[Edge, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: str | None = None
    expires: datetime | timedelta | None = None
    keep: bool = True
    schema: str = "pgqueue"
    on_enqueue: Sequence[EnqueueHook] | None = None
    uniqueness: Unique | None = None

    def __post_init__(self) -> None:
        task = checks.name("NewJob", "task", self.task)
        checks.json_object(task, "args", self.args, checks.MAX_ARGS_BYTES)
        if self.queue != "default":
            checks.name(task, "queue", self.queue)
        checks.integer(task, "priority", self.priority, checks.SMALLEST, checks.LARGEST)
        checks.integer(task, "max_attempts", self.max_attempts, 1, checks.LARGEST)
        if self.run_at is not None:
            checks.instant(task, "run_at", self.run_at)
            if self.delay is not None:
                checks.refuse(task, "delay", "run_at is given too; give one of them")
        if self.delay is not None:
            self._keep("delay", checks.duration(task, "delay", self.delay))
        if self.timeout is not None:
            self._keep("timeout", checks.positive_duration(task, "timeout", self.timeout))
        if self.unique is not None:
            checks.key(task, "unique", self.unique, checks.MAX_UNIQUE_CHARS)
        elif self.uniqueness is not None:
            checks.refuse(task, "uniqueness", "there is no unique key")
        if self.key is not None:
            checks.key(task, "key", self.key, checks.MAX_KEY_CHARS)
        if self.tags != ():
            self._keep("tags", checks.tags(task, "tags", self.tags))
        if self.metadata is not None:
            checks.json_object(task, "metadata", self.metadata, checks.MAX_METADATA_BYTES)
        if self.expires is not None:
            self._keep("expires", checks.expiry(task, self.expires, self.run_at))
        if self.keep is not True and self.keep is not False:
            checks.refuse(task, "keep", f"{checks.shown(self.keep)}; give True or False")

    def __repr__(self) -> str:
        """Show neither arguments nor metadata: a repr may end in a log."""
        return f"<NewJob {self.task}, queue {self.queue}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("task", self.task), ("queue", self.queue)]

    @property
    def unique_key(self) -> str | None:
        """The unique key as stored: with the queue in front, where the queue counts."""
        rule = self.uniqueness
        return self.unique if rule is None or not rule.queue else f"{self.queue} {self.unique}"

    def given(
        self,
        args: str,
        unique: str | None = None,
        key: str | None = None,
        uniqueness: Unique | None = None,
    ) -> NewJob[Any]:
        """Return this job with *args*, as its task's codec has written them, and these keys.

        The other fields were checked when this job was made; a second check was half of a job's
        cost. See SUSPECT_CHARS for arguments that need no check either.
        """
        if len(args) >= checks.SUSPECT_CHARS:
            checks.json_object(self.task, "args", args, checks.MAX_ARGS_BYTES)
        job: NewJob[Any] = self.__copy__()  # type: ignore[attr-defined]  # every Struct has it
        force_setattr(job, "args", args)
        if unique is not None:
            limit = checks.MAX_UNIQUE_CHARS
            job._keep("unique", checks.key(self.task, "unique", unique, limit))
            job._keep("uniqueness", uniqueness)
        if key is not None:
            job._keep("key", checks.key(self.task, "key", key, checks.MAX_KEY_CHARS))
        return job

    def options(
        self,
        *,
        queue: str | UnsetType = UNSET,
        priority: int | UnsetType = UNSET,
        run_at: datetime | UnsetType | None = UNSET,
        delay: timedelta | float | UnsetType | None = UNSET,
        max_attempts: int | UnsetType = UNSET,
        timeout: timedelta | float | UnsetType | None = UNSET,
        unique: str | Unique | UnsetType | None = UNSET,
        key: str | UnsetType | None = UNSET,
        tags: Iterable[str] | UnsetType = UNSET,
        metadata: Mapping[str, Any] | UnsetType | None = UNSET,
        expires: datetime | timedelta | float | UnsetType | None = UNSET,
        keep: bool | UnsetType = UNSET,
    ) -> NewJob[R_co]:
        """Return this job with other options; None takes one away.

        *queue*, *priority* (smaller first), *max_attempts*; *run_at*, an instant with a time zone,
        or *delay* from the moment of enqueueing, each replaces the other; *timeout* of one attempt;
        *unique*: while an unfinished job holds this key, enqueueing answers with that job, unless
        ``Unique(key=...)`` says otherwise; *key*: the job's group inside its queue, a tenant or an
        account, 128 characters at most; *tags* and *metadata* (any JSON object) are for people and
        for the task. *expires*: no attempt begins later than this instant, or than this long after
        it is due. *keep* False: when completed, it leaves no row. Durations are timedeltas or
        seconds.
        """
        changes: dict[str, Any] = {
            "queue": queue,
            "priority": priority,
            "run_at": run_at,
            "delay": delay,
            "max_attempts": max_attempts,
            "timeout": timeout,
            "unique": unique,
            "key": key,
            "tags": tags,
            "expires": expires,
            "keep": keep,
        }
        changes = {name: value for name, value in changes.items() if value is not UNSET}
        if changes.get("run_at") is not None:
            changes.setdefault("delay", None)
        if changes.get("delay") is not None:
            changes.setdefault("run_at", None)
        if metadata is not UNSET:
            changes["metadata"] = None if metadata is None else _json(self.task, metadata)
        if unique is not UNSET:
            changes["unique"], changes["uniqueness"] = _rule(self.task, unique)
        return msgspec.structs.replace(self, **changes)

    def after(
        self,
        *parents: Parent,
        on_failure: OnFailure = "cancel",
        **named: Parent | Iterable[Parent],
    ) -> NewJob[R_co]:
        """Return this job with *parents* that must finish before it starts.

        A parent is a job of the same `enqueue` call (earlier in it), the `Handle` of one enqueued
        before, or an id; it may have finished already. *on_failure*: when a parent is cancelled or
        discarded, "cancel" this job, too, or "run" it all the same. A keyword names one parent or
        several: the task can read their results by that name.
        """
        if on_failure not in ("cancel", "run"):
            checks.refuse(
                self.task, "on_failure", f'{checks.shown(on_failure)}; give "cancel" or "run"'
            )
        edges = {_same(edge.parent): edge for edge in self.edges}
        for parent in parents:
            self._add(edges, parent, on_failure, None)
        for name, given in named.items():
            if isinstance(given, (NewJob, Handle, Job, int)):
                given = (given,)
            for parent in given:
                self._add(edges, parent, on_failure, name)
        return msgspec.structs.replace(self, edges=tuple(edges.values()))

    def _add(
        self, edges: dict[object, Edge], parent: object, on_failure: OnFailure, name: str | None
    ) -> None:
        if not isinstance(parent, (NewJob, Handle)):
            parent = job_id(parent, task=self.task, parameter=name or "after")
        known = edges.setdefault(_same(parent), Edge(parent, on_failure, name))
        if known.on_failure != on_failure:
            checks.refuse(
                self.task,
                "after",
                f"{_called(parent)} is a parent already, with on_failure={known.on_failure!r}",
            )
        if name is not None and known.name != name:
            if known.name is not None:
                checks.refuse(
                    self.task, name, f"{_called(parent)} is a parent already, as {known.name!r}"
                )
            edges[_same(parent)] = Edge(parent, on_failure, name)

    def _keep(self, field: str, value: Any) -> None:
        force_setattr(self, field, value)


class JobError(msgspec.Struct, frozen=True):
    """How one attempt failed."""

    attempt: int
    type: str
    message: str
    at: datetime
    traceback: str | None = None
    worker: int | None = None
    path: str | None = None
    """The import path of the error's class: its module and its name."""


class Progress(Shown, msgspec.Struct, frozen=True):
    """The last report of a running job; *checkpoint* is for its next attempt."""

    fraction: float | None = None
    note: str | None = None
    checkpoint: Any = None


class Job(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A job as the store shows it: the columns of the view `pgqueue.jobs`, decoded."""

    id: int
    task: str
    state: State
    queue: str
    priority: int
    position: int | None = None
    args: dict[str, Any] = {}
    attempt: int
    max_attempts: int
    rescues: int = 0
    run_at: datetime
    enqueued_at: datetime
    claimed_at: datetime | None = None
    finished_at: datetime | None = None
    worker: int | None = None
    lease: int | None = None
    timeout_seconds: float | None = None
    unique_key: str | None = None
    key: str | None = None
    blocked_by: int = 0
    cancel_requested: bool = False
    reason: str | None = None
    result: Any = None
    errors: tuple[JobError, ...] = ()
    progress: Progress | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] | None = None
    workflow: int | None = None
    cause: int | None = None
    expires_at: datetime | None = None
    keep: bool = True
    due_at: datetime | None = None
    """When it became, or becomes, due; its lateness counts from here."""

    @property
    def finished(self) -> bool:
        """Whether it has ended: completed, cancelled or discarded."""
        return self.state in FINISHED


@overload
def job_id(job: Handle[Any] | Job | int) -> int: ...
@overload
def job_id(job: object, *, task: str, parameter: str) -> int: ...
def job_id(job: object, *, task: str = "job", parameter: str = "id") -> int:
    """Return the id of *job*, a handle, a job or an id; raise `InvalidJob` for anything else."""
    if isinstance(job, (Handle, Job)):
        return job.id
    if type(job) is not int:
        checks.refuse(
            task, parameter, f"{checks.shown(job)} is not an enqueued job; give a Handle or an id"
        )
    return checks.integer(task, parameter, job, 1, 2**53 - 1)


def _rule(task: str, unique: str | Unique | None) -> tuple[str | None, Unique | None]:
    if not isinstance(unique, Unique):
        return unique, None
    if not isinstance(unique.key, str):
        checks.refuse(
            task,
            "unique",
            "of a single job give the whole key, Unique(key=...); what is made of its arguments "
            "is declared with the task",
        )
    return unique.key, unique


def _json(task: str, metadata: Mapping[str, Any]) -> str:
    if not isinstance(metadata, Mapping):
        checks.refuse(task, "metadata", f"{checks.shown(metadata)} is not a mapping")
    with checks.json_errors(task, "metadata"):
        return jsontext.write(metadata, checks.MAX_METADATA_BYTES)


def _same(parent: NewJob[Any] | Handle[Any] | int) -> object:
    return parent.id if isinstance(parent, Handle) else parent


def _called(parent: NewJob[Any] | Handle[Any] | int) -> str:
    return f"job {_same(parent)}" if isinstance(parent, (Handle, int)) else f"a {parent.task} job"
