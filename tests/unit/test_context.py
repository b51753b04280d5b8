from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import msgspec
import pytest

from pgqueue.errors import (
    InvalidJob,
    JobCancelled,
    LeaseLost,
    PgqueueError,
    ResultNotSerialisable,
)
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.job import NewJob, Progress
from pgqueue.tasks.context import MAX_PROGRESS_BYTES, Context
from pgqueue.tasks.runtime import DetachedJob

CHILD: NewJob[None] = NewJob("child")
JOB = DetachedJob(
    id=17,
    task="import_orders",
    queue="imports",
    priority=-3,
    attempt=2,
    max_attempts=3,
    lease=99,
    run_at=1767268800.5,
    progress='{"fraction":0.25,"note":"page 2","checkpoint":{"page":2}}',
    metadata='{"trace":"abc"}',
    tags=("eu",),
)


class Connection:
    def commit(self) -> None: ...


class AsyncConnection:
    async def commit(self) -> None: ...


class Recorder:
    """Hands that remember, and drop what they are told to have lost."""

    def __init__(self, lost: bool = False) -> None:
        self.reports: list[str] = []
        self.completions: list[Completion] = []
        self.lost = lost

    def report(self, progress: str) -> None:
        self.reports.append(progress)

    def finish(self, connection: Any, completion: Completion) -> Awaitable[None] | None:
        if isinstance(connection, AsyncConnection):
            return self._finish_later(completion)
        return self._finish(completion)

    def _finish(self, completion: Completion) -> None:
        if self.lost:
            raise LeaseLost
        self.completions.append(completion)

    async def _finish_later(self, completion: Completion) -> None:
        self._finish(completion)

    @asynccontextmanager
    async def transaction(self, completion: Callable[[], Completion]) -> AsyncIterator[Any]:
        with self.blocking_transaction(completion) as connection:
            yield connection

    @contextmanager
    def blocking_transaction(self, completion: Callable[[], Completion]) -> Iterator[Any]:
        yield "connection"
        self._finish(completion())


@pytest.fixture
def runtime() -> Recorder:
    return Recorder()


@pytest.fixture
def context(runtime: Recorder) -> Context:
    return Context(JOB, runtime)


def test_tells_the_task_about_its_job(context: Context) -> None:
    assert (context.id, context.task, context.queue) == (17, "import_orders", "imports")
    assert (context.priority, context.lease, context.tags) == (-3, 99, ("eu",))
    assert (context.attempt, context.max_attempts, context.last_attempt) == (2, 3, False)
    assert context.run_at == datetime(2026, 1, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    assert context.metadata == {"trace": "abc"}
    assert repr(context) == "<Context of job 17, import_orders, attempt 2>"


def test_knows_the_last_attempt() -> None:
    assert Context.detached(attempt=3, max_attempts=3).last_attempt


def test_begins_where_the_last_attempt_stopped(context: Context) -> None:
    assert context.checkpoint == {"page": 2}
    assert context.reported == Progress(0.25, "page 2", {"page": 2})


def test_reports_all_that_is_known_each_time(context: Context, runtime: Recorder) -> None:
    context.progress(0.5)
    context.progress(note="page 3", checkpoint={"page": 3})
    context.progress(checkpoint=None)
    assert [msgspec.json.decode(report) for report in runtime.reports] == [
        {"fraction": 0.5, "note": "page 2", "checkpoint": {"page": 2}},
        {"fraction": 0.5, "note": "page 3", "checkpoint": {"page": 3}},
        {"fraction": 0.5, "note": "page 3", "checkpoint": None},
    ]
    assert context.checkpoint is None


@pytest.mark.parametrize(
    ("said", "parameter"),
    [
        ({"fraction": 1.5}, "fraction"),
        ({"fraction": float("nan")}, "fraction"),
        ({"checkpoint": object()}, "progress"),
        ({"note": "a\0b"}, "progress"),
        ({"checkpoint": "x" * MAX_PROGRESS_BYTES}, "progress"),
    ],
)
def test_refuses_progress_that_cannot_be_kept(
    context: Context, runtime: Recorder, said: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(InvalidJob, match=f"import_orders: {parameter}: "):
        context.progress(**said)
    assert runtime.reports == []
    assert context.checkpoint == {"page": 2}


def test_a_cancelled_task_is_told(context: Context) -> None:
    context.raise_if_cancelled()
    assert not context.cancelled
    context.cancel()
    assert context.cancelled
    with pytest.raises(JobCancelled, match="import_orders: job 17"):
        context.raise_if_cancelled()


def test_counts_the_time_that_remains(runtime: Recorder) -> None:
    assert Context(JOB, runtime).remaining() is None
    assert Context(JOB, runtime, monotonic() - 1).remaining() == 0
    remaining = Context(JOB, runtime, monotonic() + 100).remaining()
    assert remaining is not None
    assert 90 < remaining <= 100


def test_logs_in_the_jobs_name(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        context.logger.info("read %s", "page 7", extra={"page": 7})
    (record,) = caplog.records
    assert record.name == "pgqueue.task.import_orders"
    assert record.getMessage() == "import_orders 17: read page 7"
    assert (record.__dict__["job_id"], record.__dict__["page"]) == (17, 7)


def test_collects_jobs_until_it_completes(context: Context, runtime: Recorder) -> None:
    other = CHILD.after(context.id)
    assert context.enqueue(CHILD, other) == (CHILD, other)
    assert context.jobs == (CHILD, other)
    context.complete(Connection(), {"rows": 3})
    assert runtime.completions == [Completion('{"rows":3}', (CHILD, other))]
    assert context.completed
    with pytest.raises(PgqueueError, match="import_orders: job 17 is completed"):
        context.enqueue(CHILD)


def test_enqueues_nothing_but_jobs(context: Context) -> None:
    with pytest.raises(InvalidJob, match=r"import_orders: enqueue: .* give task.job"):
        context.enqueue("child")  # type: ignore[arg-type]


async def test_completes_on_an_async_connection(context: Context, runtime: Recorder) -> None:
    await context.complete(AsyncConnection())
    assert runtime.completions == [Completion(None, ())]


def test_a_lost_lease_completes_nothing() -> None:
    context = Context(JOB, Recorder(lost=True))
    with pytest.raises(LeaseLost):
        context.complete(Connection())
    assert not context.completed


def test_refuses_a_result_that_cannot_be_kept(context: Context, runtime: Recorder) -> None:
    with pytest.raises(ResultNotSerialisable, match="import_orders: its result"):
        context.complete(Connection(), object())
    assert runtime.completions == []
    assert not context.completed


def test_a_transaction_ends_with_the_completion(context: Context, runtime: Recorder) -> None:
    with context.transaction() as connection:
        assert connection == "connection"
        context.enqueue(CHILD)
        context.result = "done"
        assert runtime.completions == []
    assert runtime.completions == [Completion('"done"', (CHILD,))]
    assert context.completed


async def test_a_coroutines_transaction_ends_with_the_completion(
    context: Context, runtime: Recorder
) -> None:
    async with context.transaction() as connection:
        assert connection == "connection"
        context.result = 7
    assert runtime.completions == [Completion("7", ())]
    assert context.completed


async def test_a_transaction_that_fails_is_forgotten_and_can_be_tried_again(
    context: Context, runtime: Recorder
) -> None:
    context.enqueue(CHILD)
    with pytest.raises(ZeroDivisionError):
        async with context.transaction():
            context.enqueue(CHILD)
            context.result = "no"
            raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), context.transaction():
        context.enqueue(CHILD)
        raise ZeroDivisionError
    assert (context.jobs, context.result, context.completed) == ((CHILD,), None, False)
    with context.transaction():
        context.enqueue(CHILD)
    assert runtime.completions == [Completion(None, (CHILD, CHILD))]


async def test_a_transaction_that_lost_its_lease_says_so() -> None:
    context = Context(JOB, Recorder(lost=True))
    with pytest.raises(LeaseLost):
        async with context.transaction():
            context.enqueue(CHILD)
    assert context.jobs == ()
    assert not context.completed


async def test_a_detached_context_remembers_and_does_nothing() -> None:
    context = Context.detached("t", checkpoint=3, metadata={"a": 1}, tags=["x"], timeout_seconds=9)
    assert (context.id, context.lease, context.attempt, context.task) == (0, 0, 1, "t")
    assert (context.checkpoint, context.metadata, context.tags) == (3, {"a": 1}, ("x",))
    assert context.remaining() is not None
    context.progress(0.5)
    context.enqueue(CHILD)
    context.complete(Connection())
    assert (context.reported.fraction, context.jobs, context.completed) == (0.5, (CHILD,), True)
    await Context.detached().complete(AsyncConnection())


async def test_a_detached_context_lends_the_connection_it_was_given() -> None:
    with (
        pytest.raises(PgqueueError, match="lend it a connection"),
        Context.detached().transaction(),
    ):
        pass
    context = Context.detached(connection="mine")
    async with context.transaction() as connection:
        assert connection == "mine"
    assert context.completed
