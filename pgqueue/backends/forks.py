"""In a forked child, let go of its parent's connections.

A connection ends when no process holds its socket any more: a child that a task forks, itself or by
multiprocessing, would keep a killed worker's session open, and so the worker would seem to live for
as long as the child does. The child must not close the connection properly either: the driver's
farewell would end the session that the parent still uses.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_owners: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def on_fork(owner: T, leave: Callable[[T], None]) -> None:
    """Call *leave* with *owner* in each forked child, if *owner* still exists."""
    _owners[owner] = leave


def abandon(descriptor: int) -> None:
    """Replace *descriptor* by /dev/null, and send nothing.

    It is not closed: the driver's farewell, when the connection is collected later, could reach
    whatever file had its number by then.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, descriptor, inheritable=False)
    os.close(null)


def _leave() -> None:
    for owner, leave in list(_owners.items()):
        with suppress(Exception):  # it is closed already: there is nothing to leave
            leave(owner)


os.register_at_fork(after_in_child=_leave)
