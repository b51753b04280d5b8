"""What is kept of an error: bounded, and storable, although its own text may fail."""

from __future__ import annotations

import traceback

from pgqueue.errors import InvalidJob, InvalidResult
from pgqueue.operations import as_json

MAX_TRACEBACK = 8_000
MAX_MESSAGE = 2_000


class OutOfTime(TimeoutError):
    """An attempt took longer than its timeout."""


class RetryAsked(Exception):
    """Shown as the error of an attempt that returned Retry."""


RetryAsked.__name__ = "Retry"


def document(error: BaseException) -> str:
    """*error* as JSON: type, message, and the traceback where it helps."""
    trace = None
    if not isinstance(error, (RetryAsked, InvalidJob, InvalidResult)):
        trace = storable("".join(traceback.format_exception(error))[-MAX_TRACEBACK:])
    kind = storable(type(error).__name__)
    return as_json({"type": kind, "message": message(error), "traceback": trace})


def reason(error: BaseException) -> str:
    """Why a job ended, if it ends with *error*."""
    return f"{storable(type(error).__name__)}: {message(error)}"


def message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # SystemExit out of here would be the end of the worker
        text = f"<its message could not be read: {type(broken).__name__}>"
    return storable(text[:MAX_MESSAGE])


def storable(text: str) -> str:
    """*text* as a store can keep it: without NUL and halves of surrogate pairs."""
    return text.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()
