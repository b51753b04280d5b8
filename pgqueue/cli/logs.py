"""A worker's log: one line a record on stderr, for people or, as JSON, for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class LineFormatter(logging.Formatter):
    """``2030-06-01T12:00:00.000Z info pgqueue.worker[4711] worker 3 started``"""

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        line = f"{_instant(record)} {level} {record.name}[{record.process}] {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a record: at, level, logger, pid, message, and of a job its id and task."""

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, object] = {
            "at": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        for key in ("job_id", "task"):
            if (value := getattr(record, key, None)) is not None:
                document[key] = value
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False, default=str)


def configure(level: str, *, as_json: bool) -> None:
    """Sends all records from *level* on to stderr, unless the application has seen to it itself."""
    logging.getLogger("pgqueue").setLevel(level.upper())
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter())
    root.addHandler(handler)
    root.setLevel(level.upper())
    # What they say of a lost connection, a line for each of its transactions, the worker says once.
    for talkative in ("psycopg", "psycopg.pool", "asyncio"):
        logging.getLogger(talkative).setLevel(max(logging.ERROR, root.level))


def _instant(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
