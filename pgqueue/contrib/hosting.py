"""A worker beside a web application; its place is never guessed.

"external", the default: somewhere else, by `pgqueue worker`. "child", for development: in a process
of its own, which starts and ends with the application, and is started again when it dies. "inside":
in the application's own event loop, without signals: for small installations.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, Literal, TypeAlias

from pgqueue.app import App
from pgqueue.errors import PgqueueError
from pgqueue.worker import Options, Worker
from pgqueue.worker.service import log
from pgqueue.worker.supervisor import Supervisor

Where: TypeAlias = Literal["external", "child", "inside"]
GRACE_SECONDS: Final = 8.0
"""Less than servers and orchestrators give a process (10 to 30 s) before they kill it."""


def lifespan(
    queue: App,
    *,
    worker: Where = "external",
    then: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None,
    **options: Any,
) -> Callable[[Any], AbstractAsyncContextManager[Any]]:
    """Return a lifespan for Starlette, FastAPI and all that take such a function.

    It has a *worker* run as said, with the *options* of `pgqueue.worker.Options`, and gives the
    queue's connections back at the end. *then*: a lifespan of your own, within. All queues are
    served, and running jobs have 8 seconds at the end, unless *options* say otherwise.
    """

    @asynccontextmanager
    async def span(web: Any) -> AsyncIterator[Any]:
        async with hosted(queue, worker, **options):
            if then is None:
                yield
            else:
                async with then(web) as state:
                    yield state

    checked(worker, options)
    return span


@asynccontextmanager
async def hosted(queue: App, worker: Where = "external", **options: Any) -> AsyncIterator[None]:
    """Run a *worker* of *queue* at the given place inside the block; then close its connections.

    Raises the error of a worker "inside" that cannot start.
    """
    checked(worker, options)
    options = {"queues": "*", "grace": GRACE_SECONDS, **options}
    try:
        if worker == "inside":
            name_owner(queue)
            async with _inside(queue, Options(**options)):
                yield
        elif worker == "child":
            async with _child(target_of(queue), options):
                yield
        else:
            yield
    finally:
        await queue.close_async()


def checked(worker: str, options: dict[str, Any]) -> None:
    """Raise ValueError or TypeError for arguments with which no worker can start."""
    if worker not in ("external", "child", "inside"):
        raise ValueError(f'worker {worker!r}: give "external", "child" or "inside"')
    if worker == "external" and options:
        raise ValueError(f"{min(options)}: an external worker has its options on its command line")
    Options(**options)


def name_owner(queue: App) -> None:
    """Have *queue* own its schedules under the name by which another process finds it.

    Do nothing if it has one. A queue that cannot be found gets none; its worker says what is
    missing.
    """
    with suppress(PgqueueError):
        queue.owner = queue.owner or target_of(queue)


def target_of(queue: App) -> str:
    """Return "module:name" of *queue*, by which another process finds it.

    Its tasks' own modules are preferred: a worker need not import the web application. Raises
    PgqueueError when *queue* is no variable of a module.
    """
    of_tasks = {task.fn.__module__ for task in queue.tasks.values()}
    found = [
        (module not in of_tasks, len(module), f"{module}:{name}")
        for module, loaded in list(sys.modules.items())
        if module != "__main__"
        for name, value in list(getattr(loaded, "__dict__", {}).items())
        if value is queue
    ]
    if not found:
        raise PgqueueError(
            "a worker in a process of its own has to find the App by its name: make it a variable "
            "of a module"
        )
    return min(found)[2]


@asynccontextmanager
async def _inside(queue: App, options: Options) -> AsyncIterator[None]:
    worker = Worker(queue, options)
    running = asyncio.ensure_future(worker.run())
    started = asyncio.ensure_future(worker.started.wait())
    await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if running.done():
        await running
    running.add_done_callback(_told)
    try:
        yield
    finally:
        worker.stop()
        with suppress(Exception):  # was logged when it happened
            await running


def _told(running: asyncio.Future[None]) -> None:
    if not running.cancelled() and (error := running.exception()) is not None:
        log.critical("the worker inside has ended, the application goes on", exc_info=error)


@asynccontextmanager
async def _child(target: str, options: dict[str, Any]) -> AsyncIterator[None]:
    command = [sys.executable, "-m", "pgqueue.worker", target, *_flags(options)]
    supervisor = Supervisor(command, 1, grace=Options(**options).grace)
    running = asyncio.ensure_future(supervisor.run(signals=False))
    try:
        yield
    finally:
        supervisor.stop()
        await running


def _flags(options: dict[str, Any]) -> list[str]:
    flags: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if not isinstance(value, (bool, int, float, str)):
            raise ValueError(f"{name}: a worker in a process of its own takes texts and numbers")
        if value is not False:
            flags += [flag] if value is True else [flag, str(value)]
    return flags
