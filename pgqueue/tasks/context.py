"""A running task's view of its job: its first parameter, annotated `Context`.

    @app.task
    async def import_orders(ctx: Context, url: str) -> int:
        page = ctx.checkpoint or 0
        ...
        ctx.progress(0.4, note="page 7", checkpoint=7)

A context does nothing by itself: everything that leaves the process goes through its worker's
`JobRuntime`. A context made by `Context.detached`, for direct calls and tests, only remembers what
it was asked.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterable, Mapping
from datetime import UTC, datetime
from time import monotonic, time
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar, overload

import msgspec
from msgspec import UNSET

from pgqueue.errors import InvalidJob, JobCancelled, PgqueueError
from pgqueue.jobs import checks, jsontext
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.graphs import Batch, Jobs, Step, Workflow, gather
from pgqueue.jobs.job import NewJob, Progress, State
from pgqueue.jobs.schedules.rows import Scheduled, scheduled_by
from pgqueue.tasks import results
from pgqueue.tasks.logger import JobLogger
from pgqueue.tasks.parents import Parent, Parents
from pgqueue.tasks.runtime import DetachedJob, DetachedRuntime, JobRuntime, RunningJob

R = TypeVar("R")
MAX_PROGRESS_BYTES: Final = 256 * 1024
_progress: Final = msgspec.json.Decoder(Progress)


class _Blocking(Protocol):
    def commit(self) -> None: ...


class _Async(Protocol):
    def commit(self) -> Awaitable[None]: ...


class Context:
    """One attempt of one job, as its task sees it."""

    __slots__ = (
        *("_cancelled", "_completed", "_deadline", "_graft", "_job", "_jobs", "_metadata"),
        *("_parents", "_progress", "_replaced", "_result", "_runtime", "_workflows"),
    )

    def __init__(self, job: RunningJob, runtime: JobRuntime, deadline: float | None = None) -> None:
        self._job = job
        self._runtime = runtime
        self._deadline = deadline
        self._cancelled = False
        self._completed = False
        self._result: Any = None
        self._jobs: list[NewJob[Any]] = []
        self._graft: list[NewJob[Any]] = []
        self._workflows: list[Workflow] = []
        self._replaced: dict[object, NewJob[Any]] = {}
        self._parents: Parents | None = None
        self._metadata: dict[str, Any] | None = None
        self._progress: Progress | None = None

    @classmethod
    def detached(
        cls,
        task: str = "detached",
        *,
        attempt: int = 1,
        max_attempts: int = 10,
        checkpoint: Any = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        timeout_seconds: float | None = None,
        connection: Any = None,
        parents: Mapping[str, Any] | None = None,
    ) -> Context:
        """Return a context without a worker, for tests: the job's id and lease are 0.

        It remembers what the task said, see `reported`, `jobs` and `completed`. `transaction()`
        gives *connection*, and neither commits it nor completes anything. *parents*: results of
        completed parents, by name.
        """
        results = (parents or {}).items()
        left = [
            Parent(n, State.COMPLETED, name, name, jsontext.write(result))
            for n, (name, result) in enumerate(results, 1)
        ]
        job = DetachedJob(
            task=task,
            attempt=attempt,
            max_attempts=max_attempts,
            run_at=time(),
            progress=jsontext.write(Progress(checkpoint=checkpoint)),
            metadata=None if metadata is None else jsontext.write(metadata),
            tags=tuple(tags),
        )
        deadline = None if timeout_seconds is None else monotonic() + timeout_seconds
        return cls(job, DetachedRuntime(connection, left), deadline)

    @property
    def id(self) -> int:
        """The job's id, the same in every attempt; in another store the job has another."""
        return self._job.id

    @property
    def task(self) -> str:
        """The name of the task, as the job says it; perhaps an alias."""
        return self._job.task

    @property
    def queue(self) -> str:
        """The queue in which the job waited."""
        return self._job.queue

    @property
    def key(self) -> str | None:
        """What the job belongs to in its queue, a tenant or an account."""
        return self._job.key or None

    @property
    def priority(self) -> int:
        """The job's priority; smaller ones come first."""
        return self._job.priority

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1; a snooze or a shutdown uses up none."""
        return self._job.attempt

    @property
    def max_attempts(self) -> int:
        """After so many failed attempts the job is discarded."""
        return self._job.max_attempts

    @property
    def last_attempt(self) -> bool:
        """Whether a failure now discards the job."""
        return self._job.attempt >= self._job.max_attempts

    @property
    def lease(self) -> int:
        """The number under which this attempt may finish; no other attempt ever gets it."""
        return self._job.lease

    @property
    def run_at(self) -> datetime:
        """When the job was due."""
        return datetime.fromtimestamp(self._job.run_at, UTC)

    @property
    def tags(self) -> tuple[str, ...]:
        """The job's tags."""
        return tuple(self._job.tags or ())

    @property
    def metadata(self) -> dict[str, Any]:
        """What goes with the job beside its arguments: of hooks, of `carry`, of its options."""
        if self._metadata is None:
            text = self._job.metadata
            self._metadata = {} if text is None else msgspec.json.decode(text, type=dict[str, Any])
        return self._metadata

    @property
    def scheduled(self) -> Scheduled:
        """The schedule's firing that made the job; *manual* for any other job."""
        return scheduled_by(self.metadata, self.task, self.run_at)

    @property
    def parents(self) -> Parents:
        """The jobs that this one waited for, and their results. See `pgqueue.tasks.parents`."""
        if self._parents is None:
            self._parents = Parents(self._runtime)
        return self._parents

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that names the job in messages, and as *job_id* and *task* in records."""
        logger = logging.getLogger(f"pgqueue.task.{self._job.task}")
        return JobLogger(logger, {"job_id": self._job.id, "task": self._job.task})

    @property
    def checkpoint(self) -> Any:
        """The last checkpoint that any attempt gave to `progress`; None at first."""
        return self.reported.checkpoint

    @property
    def reported(self) -> Progress:
        """The job's last report; an earlier attempt's if this one has made none."""
        if self._progress is None:
            text = self._job.progress
            self._progress = Progress() if text is None else _progress.decode(text)
        return self._progress

    def progress(
        self, fraction: float | None = None, note: str | None = None, *, checkpoint: Any = UNSET
    ) -> None:
        """Say how far the job is: *fraction* from 0 to 1, a *note* for people, or a *checkpoint*.

        Returns at once: the worker sends the latest report every so often, so a checkpoint may be
        lost with the process. Parts that are not given stay as they were. A checkpoint may be any
        JSON value. Raises InvalidJob for values that cannot be stored.
        """
        if fraction is not None and not 0 <= fraction <= 1:
            checks.refuse(self.task, "fraction", f"{fraction} is not from 0 to 1")
        known = self.reported
        report = Progress(
            known.fraction if fraction is None else fraction,
            known.note if note is None else note,
            known.checkpoint if checkpoint is UNSET else checkpoint,
        )
        with checks.json_errors(self.task, "progress"):
            text = jsontext.write(report, MAX_PROGRESS_BYTES)
        self._progress = report
        self._runtime.report(text)

    @property
    def cancelled(self) -> bool:
        """Whether the job was asked to stop: cancelled, out of time, or its worker shuts down.

        A coroutine is interrupted anyhow; a plain function has to look.
        """
        return self._cancelled

    def raise_if_cancelled(self) -> None:
        """Raise JobCancelled when the job was asked to stop; let it pass to the worker."""
        if self._cancelled:
            raise JobCancelled(f"{self.task}: job {self.id} was asked to stop")

    def remaining(self) -> float | None:
        """Return the seconds left before the timeout, 0 when none are; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - monotonic())

    @property
    def workflow(self) -> int | None:
        """The id of the workflow the job belongs to, if any."""
        return self._job.workflow

    @property
    def jobs(self) -> tuple[NewJob[Any], ...]:
        """The jobs that `enqueue` and `graft` have collected."""
        return tuple(self._jobs)

    @property
    def additions(self) -> Completion | None:
        """All jobs that appear when this job completes; None if there are none. For the worker."""
        if not self._jobs and not self._workflows:
            return None
        return Completion(None, self.jobs, tuple(self._graft), tuple(self._workflows))

    @overload
    def enqueue(self, *jobs: NewJob[R]) -> tuple[NewJob[R], ...]: ...
    @overload
    def enqueue(self, *jobs: Step | Jobs) -> tuple[NewJob[Any], ...]: ...
    def enqueue(self, *jobs: Any) -> tuple[NewJob[Any], ...]:
        """Collect jobs or graphs, to appear if, and only if, this job completes; return the jobs.

        They join this job's workflow, if it has one; a `workflow(...)` given here stays apart.
        """
        batch = self._gathered("enqueue", jobs)
        if batch.workflow is not None:
            self._workflows.append(batch.workflow)
        else:
            self._jobs += batch.jobs
        return tuple(batch.jobs)

    def graft(self, *jobs: Step | Jobs) -> tuple[NewJob[Any], ...]:
        """Collect jobs or graphs to be put between this job and its children; return the jobs.

        As `enqueue`; but every job that waits for this one will wait for them, too, by the same
        policy. They may depend only on each other, and have no unique key: any existing job, such
        as the holder of that key, may wait for this one, and the graph would be a circle.
        """
        batch = self._gathered("graft", jobs)
        if batch.workflow is not None:
            checks.refuse(self.task, "graft", "a workflow is apart; give its jobs")
        ours = {id(job) for job in self._graft} | {id(job) for job in batch.jobs}
        for job in batch.jobs:
            if job.unique is not None:
                checks.refuse(self.task, "graft", f"{job.task} has a unique key")
            if not all(id(edge.parent) in ours for edge in job.edges):
                checks.refuse(self.task, "graft", f"{job.task} waits for a job that is not grafted")
        self._jobs += batch.jobs
        self._graft += batch.jobs
        return tuple(batch.jobs)

    def _gathered(self, verb: str, jobs: tuple[Any, ...]) -> Batch:
        if self._completed:
            raise PgqueueError(f"{self.task}: job {self.id} is completed; {verb} before that")
        try:
            return gather(jobs, replaced=self._replaced)
        except InvalidJob as error:
            checks.refuse(self.task, verb, str(error))

    @property
    def result(self) -> Any:
        """The result with which a transaction completes the job; set it in `transaction()`."""
        return self._result

    @result.setter
    def result(self, result: Any) -> None:
        self._result = result

    @property
    def completed(self) -> bool:
        """Whether the task completed its job itself, on a connection."""
        return self._completed

    @overload
    def complete(self, connection: _Blocking, result: Any = ...) -> None: ...
    @overload
    def complete(self, connection: _Async, result: Any = ...) -> Awaitable[None]: ...
    def complete(self, connection: Any, result: Any = UNSET) -> Awaitable[None] | None:
        """Complete the job in the transaction of *connection*: both commit, or neither does.

        Await it when the connection is async. Call it last: later jobs and results are lost. Raises
        LeaseLost when another worker has the job by now: then roll back.
        """
        if result is not UNSET:
            self._result = result
        answer = self._runtime.finish(connection, self._complete())
        self._completed = True
        return answer

    def transaction(self) -> Transaction:
        """Return a transaction that ends with this job's completion.

        `async with ctx.transaction() as connection:` in a coroutine, `with` in a plain function.
        Leaving the block completes the job, with `ctx.result` as its result, and commits. An
        exception rolls back, and forgets the block's jobs and result, so the block can be tried
        again. Raises LeaseLost, and rolls back, as `complete` does.
        """
        return Transaction(self)

    def _complete(self) -> Completion:
        result = results.write(self.task, self._result)
        return Completion(result, self.jobs, tuple(self._graft), tuple(self._workflows))

    def adopt(self, additions: Completion) -> None:
        """Take over what the task collected in another process. For the worker."""
        self._jobs += additions.jobs
        self._graft += additions.graft
        self._workflows += additions.workflows

    def cancel(self) -> None:
        """Ask the task to stop; any thread may. For the worker."""
        self._cancelled = True

    def mark_completed(self) -> None:
        """Note that the task completed its job, in another process. For the worker."""
        self._completed = True

    def __repr__(self) -> str:
        return f"<Context of job {self.id}, {self.task}, attempt {self.attempt}>"


class Transaction:
    """The return value of `Context.transaction`, for one `async with` or, in a plain function,
    `with`."""

    __slots__ = ("_async", "_before", "_blocking", "_context", "_result")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._before = [
            (collected, len(collected))
            for collected in (context._jobs, context._graft, context._workflows)
        ]
        self._result = context._result

    def __enter__(self) -> Any:
        self._blocking = self._context._runtime.blocking_transaction(self._context._complete)
        return self._blocking.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        failed = True
        try:
            self._blocking.__exit__(kind, error, traceback)
            failed = error is not None
        finally:
            self._end(failed)

    async def __aenter__(self) -> Any:
        self._async = self._context._runtime.transaction(self._context._complete)
        return await self._async.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        failed = True
        try:
            await self._async.__aexit__(kind, error, traceback)
            failed = error is not None
        finally:
            self._end(failed)

    def _end(self, failed: bool) -> None:
        if failed:
            for collected, length in self._before:
                del collected[length:]
            self._context._result = self._result
        else:
            self._context._completed = True
