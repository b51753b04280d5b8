"""The port between a task's context and its worker, which carries out the context's requests."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, Protocol

import msgspec

from pgqueue.errors import PgqueueError
from pgqueue.jobs.completion import Completion
from pgqueue.tasks.parents import Parent


class RunningJob(Protocol):
    """A job, as far as its context needs to know it.

    Texts are JSON; *run_at* is seconds since the epoch.
    """

    @property
    def id(self) -> int: ...
    @property
    def task(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def lease(self) -> int: ...
    @property
    def run_at(self) -> float: ...
    @property
    def progress(self) -> str | None: ...
    @property
    def metadata(self) -> str | None: ...
    @property
    def tags(self) -> Sequence[str] | None: ...
    @property
    def workflow(self) -> int | None: ...


class JobRuntime(Protocol):
    """What a worker does for a context.

    Each method is called where the task runs: on the loop for a coroutine, else on its own thread.
    """

    def parents(self, after: int, limit: int) -> Sequence[Parent]:
        """Return the next *limit* parents of the job *after* an id; blocks."""
        ...

    async def parents_async(self, after: int, limit: int) -> Sequence[Parent]:
        """As `parents`, in a coroutine."""
        ...

    def report(self, progress: str) -> None:
        """Keep *progress*, JSON text, and return at once; a later report replaces it."""

    def finish(self, connection: Any, completion: Completion) -> Awaitable[None] | None:
        """Complete the job in the transaction of *connection*; an awaitable if it is async.

        Raises LeaseLost, in the awaitable if there is one.
        """

    def transaction(self, completion: Callable[[], Completion]) -> AbstractAsyncContextManager[Any]:
        """Give a connection in a transaction; at the end call *completion*, carry it out, and
        commit.

        An exception, LeaseLost included, rolls back and is passed on.
        """
        ...

    def blocking_transaction(
        self, completion: Callable[[], Completion]
    ) -> AbstractContextManager[Any]:
        """As `transaction`, for a plain function."""
        ...


class DetachedJob(msgspec.Struct, frozen=True, kw_only=True):
    """The job of a detached context: in no store, held by nobody."""

    id: int = 0
    task: str
    queue: str = "default"
    key: str = ""
    priority: int = 0
    attempt: int
    max_attempts: int
    lease: int = 0
    run_at: float
    progress: str | None
    metadata: str | None
    tags: tuple[str, ...]
    workflow: int | None = None


class DetachedRuntime:
    """The runtime of a detached context: it sends nothing anywhere.

    *connection* is lent to transactions.
    """

    def __init__(self, connection: Any = None, parents: Sequence[Parent] = ()) -> None:
        self._connection = connection
        self._parents = parents

    def parents(self, after: int, limit: int) -> Sequence[Parent]:
        return [parent for parent in self._parents if parent.id > after][:limit]

    async def parents_async(self, after: int, limit: int) -> Sequence[Parent]:
        return self.parents(after, limit)

    def report(self, progress: str) -> None:
        pass

    def finish(self, connection: Any, completion: Completion) -> Awaitable[None] | None:
        return _nothing() if inspect.iscoroutinefunction(connection.commit) else None

    @asynccontextmanager
    async def transaction(self, completion: Callable[[], Completion]) -> AsyncIterator[Any]:
        with self.blocking_transaction(completion) as connection:
            yield connection

    @contextmanager
    def blocking_transaction(self, completion: Callable[[], Completion]) -> Iterator[Any]:
        if self._connection is None:
            raise PgqueueError(
                "a detached context has no database; lend it a connection: "
                "Context.detached(connection=...)"
            )
        yield self._connection
        completion()


async def _nothing() -> None:
    pass
