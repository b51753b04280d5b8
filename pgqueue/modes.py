"""`App(mode=…)`: jobs run at once where they are enqueued, or by a worker in the same process."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pgqueue.backends import attached, capabilities
from pgqueue.backends.bound import BoundBackend
from pgqueue.backends.connections import recognise
from pgqueue.backends.forks import on_fork
from pgqueue.jobs.graphs import Batch

if TYPE_CHECKING:
    from pgqueue.app import App

T = TypeVar("T")
MARGIN_SECONDS: Final = 5.0

_is_running: ContextVar[bool] = ContextVar("pgqueue is running jobs inline", default=False)


class Inline:
    """Runs what is due where jobs are enqueued: on the same connection, in its transaction.

    Through JSON, hooks, retry policies and savepoints, as a worker would; the attempt that fails is
    recorded, and nothing is raised: it is `pgqueue.testing` that runs them, which stands above an
    application and is imported only here, by its name. What a job enqueues runs after it. Others of
    the same store's jobs that are due run as well: it is for stores that have no workers.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def enqueue(self, batch: Batch, enqueue: Callable[[Batch], T]) -> T:
        if _is_running.get():
            return enqueue(batch)
        with self._connected() as connection:
            with self._app.bound_to(connection):
                handles = enqueue(batch)
            self.enqueued(connection)
        return handles

    async def enqueue_async(self, batch: Batch, enqueue: Callable[[Batch], Awaitable[T]]) -> T:
        if _is_running.get():
            return await enqueue(batch)
        async with self._connected_async() as connection:
            with self._app.bound_to(connection):
                handles = await enqueue(batch)
            await self.enqueued_async(connection)
        return handles

    def enqueued(self, connection: Any) -> None:
        if self._may_run(connection):
            jobs = import_module("pgqueue.testing.jobs").Jobs(self._app, connection)
            with _running(), jobs.bound():
                jobs.run_due()

    async def enqueued_async(self, connection: Any) -> None:
        if self._may_run(connection):
            jobs = import_module("pgqueue.testing.async_jobs").AsyncJobs(self._app, connection)
            with _running(), jobs.bound():
                await jobs.run_due()

    def _may_run(self, connection: Any) -> bool:
        backend = attached(recognise(connection).store, self._app.schema)
        capabilities.require(backend, "transactions")
        return not _is_running.get()

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        backend = self._app.backend
        if isinstance(backend, BoundBackend):
            yield backend.connection
            return
        capabilities.require(backend, "transactions")
        with backend.user_connection() as connection:
            yield connection

    @asynccontextmanager
    async def _connected_async(self) -> AsyncIterator[Any]:
        backend = self._app.backend
        if isinstance(backend, BoundBackend):
            yield backend.connection
            return
        capabilities.require(backend, "transactions")
        async with backend.user_connection_async() as connection:
            yield connection


@contextmanager
def _running() -> Iterator[None]:
    token = _is_running.set(True)
    try:
        yield
    finally:
        _is_running.reset(token)


def _told(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Have *loop* make the *call*, unless it has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)


class Inside:
    """A worker in the application's own process, in a thread with an event loop of its own.

    It serves all queues, unless *options* say otherwise. A forked child has none until it starts
    one.
    """

    def __init__(self, app: App, options: Mapping[str, Any]) -> None:
        from pgqueue.worker.options import Options

        self._app = app
        self._options = Options(**{"queues": "*", **options})
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None
        self._is_registered = False
        on_fork(self, Inside._forget)

    def enqueue(self, batch: Batch, enqueue: Callable[[Batch], T]) -> T:
        self.start()
        return enqueue(batch)

    async def enqueue_async(self, batch: Batch, enqueue: Callable[[Batch], Awaitable[T]]) -> T:
        if not self._works():
            await asyncio.to_thread(self.start)
        return await enqueue(batch)

    def enqueued(self, connection: Any) -> None:
        self.start()

    async def enqueued_async(self, connection: Any) -> None:
        if not self._works():
            await asyncio.to_thread(self.start)

    def start(self) -> None:
        """Start the worker, unless it is there; return when it has started.

        Raises what keeps it from that.
        """
        with self._lock:
            if self._works() or threading.current_thread() is self._thread:
                return
            began = threading.Event()
            failed: list[BaseException] = []
            self._thread = threading.Thread(
                target=self._run, args=(began, failed), name="pgqueue-worker", daemon=True
            )
            self._thread.start()
            began.wait()
            if failed:
                self._thread.join()
                raise failed[0]
            self._stop_at_exit()

    def stop(self) -> None:
        """Let jobs finish within the grace period, and end the worker, if there is one."""
        with self._lock:
            stop, thread = self._stop, self._thread
            if stop is None or thread is None or thread is threading.current_thread():
                return
            self._stop = None
            stop()
            thread.join(self._options.grace + MARGIN_SECONDS)

    def _stop_at_exit(self) -> None:
        """Have the worker stopped at the process's end, before thread pools are: it needs them.

        `atexit` would be too late; the pools of the standard library use the same hook.
        """
        if not self._is_registered:
            self._is_registered = True
            register = getattr(threading, "_register_atexit", atexit.register)
            with suppress(RuntimeError):  # that end has begun
                register(self.stop)

    def _works(self) -> bool:
        return self._stop is not None and self._thread is not None and self._thread.is_alive()

    def _run(self, began: threading.Event, failed: list[BaseException]) -> None:
        from pgqueue.worker.worker import Worker, new_event_loop

        async def work() -> None:
            worker = Worker(self._app, self._options)
            loop = asyncio.get_running_loop()
            running = asyncio.ensure_future(worker.run())
            started = asyncio.ensure_future(worker.started.wait())
            await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
            started.cancel()
            if not running.done():
                self._stop = partial(_told, loop, worker.stop)
                began.set()
            await running

        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(work())
        except BaseException as error:
            failed.append(error)
        finally:
            began.set()

    def _forget(self) -> None:
        """In a forked child: its parent's thread is not here."""
        self._lock = threading.Lock()
        self._stop = self._thread = None
