"""The audit: who did what to jobs, queues and schedules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import msgspec

from pgqueue.operations.operation import Answers, Operation, Plan, nothing
from pgqueue.operations.params import from_microseconds, instant, number

T = TypeVar("T")


class AuditEntry(msgspec.Struct, frozen=True):
    """*who* did *verb* to *target*, "job 7", or to *count* jobs that match *filter*, in words;
    *answer*: the outcome; *reason*: why, in the words of who did it."""

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


def noted(
    plan: Plan[T],
    who: str | None,
    verb: str,
    *,
    target: str | None = None,
    reason: str | None = None,
    answer: Callable[[T], str] | None = None,
) -> Plan[T]:
    """Carry out *plan*, and note that *who* did it, and its *answer*; *who* None: note nothing.

    Carry it out in one transaction: then there is no act without its note, and no note of an act
    that was rolled back.
    """
    done = yield from plan
    if who is not None:
        said = None if answer is None else answer(done)
        yield audit(who, verb, target=target, answer=said, reason=reason)
    return done


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
