"""Failed jobs in groups: those of one task whose last errors say the same but for numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from pgqueue.jobs.job import State
from pgqueue.operations.browsing import BriefJob

_VARYING: Final = re.compile(
    r"0x[0-9a-fA-F]+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|\d+|'[^']*'|\"[^\"]*\""
)
_FRAME: Final = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
MESSAGE_CHARS: Final = 160


class FailureGroup(msgspec.Struct):
    """Jobs that failed alike; *ids* are the newest first, *frame* is where the error was raised."""

    task: str
    type: str
    message: str
    frame: str
    count: int = 0
    discarded: int = 0
    retryable: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    ids: list[int] = []


def grouped(jobs: Iterable[BriefJob]) -> list[FailureGroup]:
    """Return the groups of *jobs*, the largest first."""
    groups: dict[tuple[str, str, str, str], FailureGroup] = {}
    for job in jobs:
        kind = job.error_type or "no error"
        message = _VARYING.sub("…", job.error_message or job.reason or "")[:MESSAGE_CHARS]
        frame = _top_frame(job.error_trace)
        group = groups.setdefault(
            (job.task, kind, message, frame), FailureGroup(job.task, kind, message, frame, ids=[])
        )
        group.count += 1
        group.discarded += job.state is State.DISCARDED
        group.retryable += job.state is State.RETRYABLE
        group.ids.append(job.id)
        at = job.error_at or job.finished_at
        if at is not None:
            group.first_at = min(group.first_at or at, at)
            group.last_at = max(group.last_at or at, at)
    return sorted(groups.values(), key=lambda group: -group.count)


def _top_frame(traceback: str | None) -> str:
    frames = _FRAME.findall(traceback or "")
    if not frames:
        return ""
    file, line, function = frames[-1]
    return f"{file.rsplit('/', 1)[-1]}:{line} {function}"
