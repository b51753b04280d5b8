"""Quart: an application context inside every task, and `quart pgqueue worker`.

    queue = App()
    Pgqueue(queue).init_app(site)          # or Pgqueue(queue, site)

Each attempt has a context of its own, pushed in the coroutine or thread that runs it and popped
with the error it raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from types import TracebackType
from typing import Any, Final

from pgqueue.contrib.extensions import Extension, Sites, command, queue_of
from pgqueue.errors import installed
from pgqueue.tasks.context import Context

with installed("quart"):
    from quart.cli import ScriptInfo

_sites: Final = Sites("QUART_APP", ScriptInfo)


def in_application_context(context: Context) -> Within:
    """What is around each attempt; a process of the pool finds it by this name."""
    return Within(_sites.get().app_context())


class Pgqueue(Extension):
    __doc__ = Extension.__doc__

    _commands = command(__name__, "QUART_APP", ScriptInfo)
    _sites = _sites
    _around = staticmethod(in_application_context)


class Within:
    """Quart's context, for coroutines and, by an event loop of their own, for plain functions."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._variables = copy_context()

    async def __aenter__(self) -> None:
        await self._context.push()

    async def __aexit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._context.pop(error)

    def __enter__(self) -> None:
        self._run(self._context.push())

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._context.pop(error))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do *work* in variables that both halves share, and set what it has set here, too."""
        with asyncio.Runner() as runner:
            runner.run(work, context=self._variables)
        here = copy_context()
        for variable, value in self._variables.items():
            if variable not in here or here[variable] is not value:
                variable.set(value)


def __getattr__(name: str) -> Any:
    """`app`: the queue of the application that QUART_APP names, for a worker's processes."""
    if name != "app":
        raise AttributeError(name)
    return queue_of(_sites.get())
