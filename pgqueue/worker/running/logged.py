"""Make foreign text in the worker's log printable, with any handlers and formatters."""

from __future__ import annotations

import logging

from pgqueue.views.printable import printable
from pgqueue.worker.running import failures


def make_printable(record: logging.LogRecord) -> bool:
    """Changes *record* so that any handler can write it: in an exception's message, half of a
    surrogate pair would fail a handler that writes UTF-8, and an escape sequence would command a
    terminal.

    The exception itself stays in `exc_info`, for an error tracker; its text is the one that
    formatters use when there is one.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(_printable(value) for value in record.args)
    if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
        record.exc_text = printable(failures.shown(record.exc_info[1]), lines=True)
    return True


def _printable(value: object) -> object:
    if isinstance(value, BaseException):
        return printable(failures.message(value))
    return printable(value, lines=True) if isinstance(value, str) else value
