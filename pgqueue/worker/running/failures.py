"""Errors as text for the store: bounded, and storable even if the error's own text fails."""

from __future__ import annotations

import os
import traceback
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

from pgqueue.errors import InvalidJob, InvalidResult
from pgqueue.operations import as_json

MAX_TRACEBACK = 8_000
MAX_MESSAGE = 2_000
MAX_LINE = 500
_PACKAGE: Final = Path(__file__).parents[2]
_OURS: Final = tuple(f"{_PACKAGE / room}{os.sep}" for room in ("worker", "tasks", "contrib"))
_RAISERS: Final = frozenset({"timeouts.py", "processes.py"})
UNSTORABLE = "what it failed with cannot be stored"


class OutOfTime(TimeoutError):
    """An attempt took longer than its timeout."""


class RetryAsked(Exception):
    """Shown as the error of an attempt that returned Retry."""


RetryAsked.__name__ = "Retry"


class Verdict(NamedTuple):
    """A retry policy's answer: how long to wait; None: discard."""

    wait: timedelta | None


class InChild(Exception):
    """The cause of an error that was raised in a process of the pool: its traceback there, and the
    *verdict* of the retry policy there, if it was asked."""

    def __init__(self, trace: str, verdict: Verdict | None) -> None:
        super().__init__(trace)
        self.verdict = verdict

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def at_the_task(error: BaseException) -> BaseException:
    """*error*, whose traceback begins where the task's own code does.

    An error that we raise on purpose, when the time is up or the process has died, is left without
    a traceback: all its frames are ours, and tell the user nothing. Any other error that was raised
    in our own code keeps its frames: it is a bug of ours.
    """
    trace = error.__traceback__
    last = None
    while trace is not None and _is_ours(trace):
        trace, last = trace.tb_next, trace
    if trace is not None or (last is not None and _file(last) in _RAISERS):
        error.__traceback__ = trace
    return error


def _is_ours(trace: TracebackType) -> bool:
    name = trace.tb_frame.f_code.co_filename
    return name.startswith(_OURS)


def _file(trace: TracebackType) -> str:
    return Path(trace.tb_frame.f_code.co_filename).name


def shown(error: BaseException) -> str:
    """The traceback of *error* for a log: of each error's text, only the first line.

    In the other lines a database shows the row, and SQLAlchemy the parameters: user data, which
    does not belong in a log.
    """
    told = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    left: list[tuple[Any, Any]] = [(told, error)]
    while left:
        each, raised = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        lines = str(each).splitlines()
        if isinstance(raised, InChild):  # its text is a traceback: only the places are kept
            each._str = "\n".join(["", *(line for line in lines if line.startswith('  File "'))])
        elif lines:
            each._str = lines[0]
        left += [(each.__cause__, raised.__cause__), (each.__context__, raised.__context__)]
        left += zip(each.exceptions or (), getattr(raised, "exceptions", ()), strict=False)
    return "".join(told.format()).rstrip("\n")


def first_line(error: BaseException) -> str:
    """Type and text of *error*, in one line, for a log."""
    return "".join(reason(error).splitlines()[:1])[:MAX_LINE]


def document(error: BaseException) -> str:
    """*error* as JSON: type, message, and the traceback where it helps."""
    trace = None
    if not isinstance(error, (RetryAsked, InvalidJob, InvalidResult)):
        trace = storable("".join(traceback.format_exception(at_the_task(error)))[-MAX_TRACEBACK:])
    kind = type(error)
    told = {"type": storable(kind.__name__), "path": storable(_path(kind))}
    return as_json({**told, "message": message(error), "traceback": trace})


def _path(kind: type[BaseException]) -> str:
    """How *kind* is imported, if it can be."""
    return f"{kind.__module__}.{kind.__qualname__}"


def unstorable(error: BaseException) -> str:
    """The store's *error* as JSON, in ASCII alone: it may quote the text that was refused."""
    said = ascii(message(error))[1:-1]
    return as_json({"type": ascii(type(error).__name__)[1:-1], "message": said, "traceback": None})


def reason(error: BaseException) -> str:
    """Why a job ended, if it ends with *error*."""
    return f"{storable(type(error).__name__)}: {message(error)}"


def message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # a __str__ that raises SystemExit must not end the worker
        text = f"<its message could not be read: {type(broken).__name__}>"
    return storable(text[:MAX_MESSAGE])


def storable(text: str) -> str:
    """*text* as a store can keep it: without NUL and halves of surrogate pairs."""
    return text.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()
