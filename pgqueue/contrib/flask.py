"""Flask: an application context inside every task, and `flask pgqueue worker`.

    queue = App()
    Pgqueue(queue).init_app(site)          # or Pgqueue(queue, site)

Each attempt has a context of its own, pushed in the thread or coroutine that runs it and popped
with the error it raised, so that extensions tidy up as they do after a request.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Final

from pgqueue.contrib.extensions import Extension, Sites, command, queue_of
from pgqueue.errors import installed
from pgqueue.tasks.context import Context

with installed("flask"):
    from flask.cli import ScriptInfo

_sites: Final = Sites("FLASK_APP", ScriptInfo)


def in_application_context(context: Context) -> AbstractContextManager[Any]:
    """What is around each attempt; a process of the pool finds it by this name."""
    found: AbstractContextManager[Any] = _sites.get().app_context()
    return found


class Pgqueue(Extension):
    __doc__ = Extension.__doc__

    _commands = command(__name__, "FLASK_APP", ScriptInfo)
    _sites = _sites
    _around = staticmethod(in_application_context)


def __getattr__(name: str) -> Any:
    """`app`: the queue of the application that FLASK_APP names, for a worker's processes."""
    if name != "app":
        raise AttributeError(name)
    return queue_of(_sites.get())
