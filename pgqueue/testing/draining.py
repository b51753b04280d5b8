"""What `Jobs.drain` asks, in order: a plan, for blocking and asyncio connections alike.

A job is claimed, run and ended by the operations that a worker uses. Where a worker would wait, the
test's clock is moved.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Generator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import msgspec

from pgqueue import operations
from pgqueue.errors import PgqueueError, UnknownTask
from pgqueue.jobs.job import Job, State
from pgqueue.operations import (
    ClaimedJob,
    Completed,
    Failed,
    Plan,
    ProgressReport,
    inspections,
)
from pgqueue.tasks.context import Context
from pgqueue.tasks.parents import Parent
from pgqueue.tasks.registry import TaskRegistry
from pgqueue.testing.attempts import Judged, Performed, performed, profile
from pgqueue.testing.clock import Clock
from pgqueue.testing.matching import waiting
from pgqueue.worker.running.runtime import read_parents

MOST_ATTEMPTS: Final = 10_000
NOW: Final = timedelta(0)


class Body(msgspec.Struct, frozen=True):
    """Asks to run a task's function; the answer is a `Ran`."""

    job: ClaimedJob
    parents: Sequence[Parent]


class Ran(msgspec.Struct, frozen=True):
    """How the function ended; *report* is the last that it said of its progress."""

    judged: Judged
    context: Context
    report: str | None


class InTransaction(msgspec.Struct, frozen=True):
    """Asks to carry out a plan whose operations belong together."""

    plan: Plan[Any]


# Each request is an Operation, a Body or InTransaction.
Draining: TypeAlias = Generator[Any, Any, list[Performed[Any]]]


def draining(
    registry: TaskRegistry,
    clock: Clock,
    keep: frozenset[State],
    *,
    queue: str | None,
    recursive: bool,
    until: datetime | None,
    raising: bool,
    travels: bool = True,
) -> Draining:
    """Run what waits, see `Jobs.drain`; unless it *travels*, nothing that is not due yet."""
    said = {**profile(), "queues": [], "started_at": datetime.now(UTC).isoformat()}
    member = yield operations.join(said)
    leases = itertools.count(member.lease)
    done: list[Performed[Any]] = []
    failure: BaseException | None = None
    due: datetime | None = None
    if not recursive and until is not None and until > clock.now():
        clock.travel(until)
    while failure is None:
        yield operations.promote()
        while (yield operations.expire(keep=keep)).next_due == NOW:
            pass
        ran = False
        for name in (yield from _queues(queue)):
            limit = 1 if recursive else MOST_ATTEMPTS
            claimed = yield from _claim(name, member.worker, next(leases), limit)
            for job in claimed:
                if failure is None:
                    done.append((yield from _attempt(registry, job, keep)))
                    failure = done[-1].error if raising else None
                    ran = True
                else:
                    yield operations.release([_handed_back(job)], keep=keep)
            if failure is not None:
                break
        if len(done) >= MOST_ATTEMPTS:
            failure = PgqueueError(f"{len(done)} attempts, and no end: a job that begets jobs?")
        if not recursive:
            break
        if not ran and not travels:
            break
        if not ran:
            before, due = due, (yield from _next_due(queue, until))
            if due is None or due == before:  # somebody else holds what is due
                break
            clock.travel(max(due, clock.now()))
    yield operations.leave(member.worker)
    if failure is not None:
        raise failure
    return done


def _claim(
    queue: str, worker: int, lease: int, limit: int
) -> Generator[Any, Any, Sequence[ClaimedJob]]:
    """Claim up to *limit* jobs, within the limits of *queue*."""
    terms: dict[str, operations.Terms] = yield operations.turns([queue])
    if queue in terms and terms[queue].limited:
        turn: operations.ClaimedInTurn = yield operations.claim_in_turn(queue, worker, lease, limit)
        return turn.jobs
    claimed: Sequence[ClaimedJob] = yield operations.claim(queue, worker, lease, limit)
    return claimed


def _attempt(
    registry: TaskRegistry, job: ClaimedJob, keep: frozenset[State]
) -> Generator[Any, Any, Performed[Any]]:
    """Run one claimed job, to its end in the store."""
    try:
        task = registry.find(job.task)
    except UnknownTask:
        yield operations.release([_handed_back(job)], keep=keep)
        raise
    parents: Sequence[Parent] = ()
    if task.wants_context or task.wants_results:
        parents = read_parents((yield inspections.parents([job.id])))
    ran: Ran = yield Body(job, parents)
    ending, context = ran.judged.ending, ran.context
    if ran.report is not None and not context.completed:
        yield operations.progress([ProgressReport(job.id, job.lease, ran.report)])
    if isinstance(ending, Completed):
        state = State.COMPLETED
        if context.completed:
            pass  # the task itself has stored its end
        elif (additions := context.additions) is not None:
            completion = msgspec.structs.replace(additions, result=ending.result)
            yield InTransaction(operations.completing(job, completion, keep))
        elif not (yield operations.complete([ending], keep=keep)):
            raise _lost(job)
    else:
        verb = operations.fail if isinstance(ending, Failed) else operations.release
        # A type checker does not see that each verb is given an ending of its own kind.
        answer: dict[tuple[int, int], State] = yield verb([ending], keep=keep)  # type: ignore[list-item]  # see above
        if ending.held not in answer:
            raise _lost(job)
        state = answer[ending.held]
    return performed(task, job, context, ran.judged, state)


def _queues(queue: str | None) -> Generator[Any, Any, Collection[str]]:
    if queue is not None:
        return [queue]
    return [found.name for found in (yield inspections.queues())]


def _next_due(queue: str | None, until: datetime | None) -> Generator[Any, Any, datetime | None]:
    """Return when the next failed or scheduled job is due, up to *until*; None if there is none."""
    jobs: list[Job] = yield from waiting(queue=queue, states=[State.RETRYABLE])
    if until is not None:
        scheduled = yield from waiting(queue=queue, states=[State.SCHEDULED])
        jobs += [job for job in scheduled if job.run_at <= until]
    return min((job.run_at for job in jobs), default=None)


def _handed_back(job: ClaimedJob) -> operations.Released:
    return operations.Released(job.id, job.lease)


def _lost(job: ClaimedJob) -> PgqueueError:
    return PgqueueError(
        f"job {job.id} ({job.task}) is not ours any more: its task has ended the transaction of "
        "the test's connection, or a worker runs on this database"
    )
