"""Threads for plain functions: reused, replaced when stuck; none of them keeps the process from
ending."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

_Work: TypeAlias = (
    "tuple[asyncio.Future[Any], contextvars.Context, Callable[..., Any], tuple[Any, ...]]"
)


class Threads:
    """Runs functions in daemon threads, a new one whenever none is idle.

    The executor decides how many run at once. A function that goes on after its timeout keeps its
    thread, but not its slot, so the next job gets another thread. The standard library's pool is no
    use here: it waits for its threads at exit, so a function that is stuck would keep the process
    from ending.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0

    async def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls *function* in a thread; returns its result or raises its error. Cancelling the wait
        does not stop the function."""
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            else:
                self._threads += 1
                name = f"pgqueue-{self._threads}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._work.put((future, contextvars.copy_context(), function, args))
        answer, error = await future
        if (
            error is not None
        ):  # not future.set_exception: a GeneratorExit would close the coroutine that awaits it
            raise error
        return answer

    def close(self) -> bool:
        """Ends the idle threads. Returns whether another thread is still busy, and stays."""
        with self._lock:
            for _ in range(self._threads):
                self._work.put(None)
            return self._idle < self._threads

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            future, context, function, args = work
            try:
                answer, error = context.run(function, *args), None
            except BaseException as raised:
                answer, error = None, raised
            with self._lock:
                self._idle += 1
            loop = future.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, future, answer, error)
            del work, future, context, function, args, answer, error


def _deliver(future: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
    if not future.done():
        future.set_result((answer, error))
