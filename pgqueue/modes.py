"""`App(mode=…)`: jobs run at once where they are enqueued, or by a worker in the same process."""

from __future__ import annotations

import asyncio
import atexit
import logging
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
    from pgqueue.worker.options import Options

T = TypeVar("T")
MARGIN_SECONDS: Final = 5.0
log = logging.getLogger("pgqueue.worker")

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


class Inside:
    """A worker in the application's own process, in a thread with an event loop of its own.

    It serves all queues, unless *options* say otherwise. A forked child has none until it starts
    one.

    Where the application enqueues on a connection of its own, nobody waits for the worker to start:
    its transaction may hold what the worker needs for that, SQLite's write lock for example.
    """

    def __init__(self, app: App, options: Mapping[str, Any]) -> None:
        from pgqueue.worker.options import Options

        self._app = app
        self._options = Options(**{"queues": "*", **options})
        self._lock = threading.Lock()
        self._thread: _WorkerThread | None = None
        self._is_registered = False
        on_fork(self, Inside._forget)

    def enqueue(self, batch: Batch, enqueue: Callable[[Batch], T]) -> T:
        self.start()
        return enqueue(batch)

    async def enqueue_async(self, batch: Batch, enqueue: Callable[[Batch], Awaitable[T]]) -> T:
        if not self._begin().has_started:
            await asyncio.to_thread(self.start)
        return await enqueue(batch)

    def enqueued(self, connection: Any) -> None:
        self._begin()

    async def enqueued_async(self, connection: Any) -> None:
        self._begin()

    def start(self) -> None:
        """Start the worker, unless it is there; return when it has started.

        Raises what keeps it from that.
        """
        self._begin().await_start()

    def stop(self) -> None:
        """Let jobs finish within the grace period, and end the worker, if there is one."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        thread.stop()
        thread.join(self._options.grace + MARGIN_SECONDS)
        with self._lock:  # not before: what its last jobs enqueue must begin no other worker
            if self._thread is thread:
                self._thread = None

    def _begin(self) -> _WorkerThread:
        """Begin to start the worker, unless it is there."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = _WorkerThread(self._app, self._options)
                self._thread.start()
                self._stop_at_exit()
            return self._thread

    def _stop_at_exit(self) -> None:
        """Have the worker stopped at the process's end, before thread pools are: it needs them.

        `atexit` would be too late; the pools of the standard library use the same hook. What was
        registered last runs first, so their module is imported before.
        """
        if not self._is_registered:
            import_module("concurrent.futures.thread")
            self._is_registered = True
            register = getattr(threading, "_register_atexit", atexit.register)
            with suppress(RuntimeError):  # that end has begun
                register(self.stop)

    def _forget(self) -> None:
        """In a forked child: its parent's thread is not here."""
        self._lock = threading.Lock()
        self._thread = None


class _WorkerThread(threading.Thread):
    """Runs a worker until it is stopped, or cannot start."""

    def __init__(self, app: App, options: Options) -> None:
        super().__init__(name="pgqueue-worker", daemon=True)
        self._app = app
        self._options = options
        self._is_awaited = False
        self._reachable = threading.Event()
        self._began = threading.Event()
        self._failure: BaseException | None = None
        self._stop_worker: Callable[[], None] = lambda: None

    @property
    def has_started(self) -> bool:
        return self._began.is_set() and self._failure is None

    def await_start(self) -> None:
        """Return when the worker has started. Raises what keeps it from that."""
        self._is_awaited = True
        if threading.current_thread() is not self:
            self._began.wait()
            if self._failure is not None:
                self.join()
                raise self._failure

    def stop(self) -> None:
        """Ask the worker to end, also while it starts."""
        self._reachable.wait()
        self._stop_worker()

    def run(self) -> None:
        from pgqueue.worker.worker import new_event_loop

        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(self._work())
        except BaseException as error:
            self._failure = error
            if not self._is_awaited or self._began.is_set():
                log.error("the worker in this process has ended: %s", error)
        finally:
            self._reachable.set()
            self._began.set()

    async def _work(self) -> None:
        from pgqueue.worker.worker import Worker

        worker = Worker(self._app, self._options)
        self._stop_worker = partial(_told, asyncio.get_running_loop(), worker.stop)
        self._reachable.set()
        running = asyncio.ensure_future(worker.run())
        started = asyncio.ensure_future(worker.started.wait())
        await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if not running.done():
            self._began.set()
        await running


def _told(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Have *loop* make the *call*, unless it has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
