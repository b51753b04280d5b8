"""A worker's log: one line a record on stderr, for people or, as JSON, for machines."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, TypeAlias

from pgqueue.cli.printable import printable, printable_json
from pgqueue.logs import FIELDS, JobFilter
from pgqueue.worker.running import failures

ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)
# A line in an error's message that begins like a record of this log.
_A_RECORD: Final = re.compile(r"^(?=\d{4}-\d\d-\d\dT)", re.MULTILINE)


class LineFormatter(logging.Formatter):
    """``2030-06-01T12:00:00.000Z info pgqueue.worker[4711] worker 3 started``"""

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        line = f"{_instant(record)} {level} {record.name}[{record.process}] "
        line += printable(record.getMessage())
        if record.exc_info:
            traceback = printable(_traceback(record.exc_info), lines=True)
            line += "\n" + _A_RECORD.sub("  ", traceback)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a record: at, level, logger, pid, message, and of a job its
    id, task, queue and attempt, and which worker runs it."""

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, object] = {
            "at": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        for key in FIELDS:
            if (value := getattr(record, key, None)) is not None:
                document[key] = value
        if record.exc_info:
            document["traceback"] = _traceback(record.exc_info)
        return printable_json(json.dumps(document, ensure_ascii=False, default=str))


def configure(level: str, *, as_json: bool) -> None:
    """Sends all records from *level* on to stderr, unless the application has set up handlers."""
    logging.getLogger("pgqueue").setLevel(level.upper())
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter())
    handler.addFilter(JobFilter())
    root.addHandler(handler)
    root.setLevel(level.upper())
    # These loggers warn of a lost connection once for each transaction; the worker warns once.
    for talkative in ("psycopg", "psycopg.pool", "asyncio"):
        logging.getLogger(talkative).setLevel(max(logging.ERROR, root.level))


def _traceback(exc_info: ExcInfo) -> str:
    return "" if exc_info[1] is None else failures.shown(exc_info[1])


def _instant(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
