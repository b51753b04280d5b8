"""The audit: who did what to jobs, queues and schedules."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pgqueue.operations.operation import Answers, Operation, nothing
from pgqueue.operations.params import from_microseconds, instant, number


class AuditEntry(msgspec.Struct, frozen=True):
    """*who* did *verb* to *target*, "job 7", or to *count* jobs that a *filter* means, in words;
    *answer*: what came of it, *reason*: what was said why."""

    id: int
    at: datetime
    who: str
    verb: str
    target: str | None = None
    filter: str | None = None
    count: int | None = None
    answer: str | None = None
    reason: str | None = None


def audit(
    who: str,
    verb: str,
    *,
    target: str | None = None,
    filter: str | None = None,
    count: int | None = None,
    answer: str | None = None,
    reason: str | None = None,
    now: datetime | None = None,
) -> Operation[None]:
    """Note that *who* does *verb*: to be carried out in the transaction that does it."""
    params = {
        "who": who,
        "verb": verb,
        "target": target,
        "filter": filter,
        "count": number(count),
        "answer": answer,
        "reason": reason,
        "now": instant(now),
    }
    return Operation("audit", params, nothing)


def audited(
    *, before: int | None = None, target: str | None = None, limit: int = 50
) -> Operation[list[AuditEntry]]:
    """List what was done, the newest first: *before* the id of an entry, for the next page; to
    this *target* alone."""

    def decode(answers: Answers) -> list[AuditEntry]:
        return [AuditEntry(id, from_microseconds(at), *said) for id, at, *said in answers[0]]

    params = {
        "before": number(before),
        "target": target,
        "limit": str(limit),
    }
    return Operation("audited", params, decode)
