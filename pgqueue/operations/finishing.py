"""End attempts: they succeeded, they failed, or they are handed back."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Literal

import msgspec

from pgqueue.errors import LeaseLost, PgqueueError
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.job import State
from pgqueue.operations.claiming import ClaimedJob
from pgqueue.operations.dependencies import ends_of, follow, graft
from pgqueue.operations.enqueueing import enqueue
from pgqueue.operations.operation import Answers, Operation, Plan
from pgqueue.operations.params import EVERYTHING, as_json, of_ending, raw

_id, _lease = attrgetter("id"), attrgetter("lease")


class _Ending(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended, of the job that its worker holds under *lease*."""

    id: int
    lease: int

    @property
    def held(self) -> tuple[int, int]:
        return self.id, self.lease


class Completed(_Ending, frozen=True, gc=False):
    """An attempt that succeeded; *result* is JSON text, None when there is none."""

    result: str | None = None

    def __repr__(self) -> str:
        return f"Completed(id={self.id}, lease={self.lease})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("lease", self.lease)]


class Failed(_Ending, frozen=True, gc=False):
    """An attempt that failed; *error* is JSON text {type, message, traceback}.

    Or one that did not begin, as the job had expired: "expire".
    """

    verdict: Literal["retry", "discard", "cancel", "expire"]
    retry_in: timedelta | None = None
    reason: str | None = None
    error: str | None = None


class CompletedLeases(dict[tuple[int, int], bool]):
    """(id, lease) of what is completed: True by this call, False by an earlier one.

    *freed*: the queues in which children can run now.
    """

    freed: Sequence[str] = ()


class Released(_Ending, frozen=True, gc=False):
    """A job handed back, to run again after *delay*; *unknown*: whoever had it does not know its
    task, so that it is late from when it was due first; *unstarted*: the attempt has not begun, and
    counts for no rate."""

    delay: timedelta | None = None
    unknown: bool = False
    unstarted: bool = False


def complete(
    jobs: Sequence[Completed],
    *,
    keep: frozenset[State] = EVERYTHING,
    now: datetime | None = None,
) -> Operation[CompletedLeases]:
    """Finish *jobs* and unblock their children.

    A job whose lease is another's is left alone, and is missing in the answer. Raises PgqueueError
    in a transaction whose isolation would let it miss a child.
    """
    claimed = []
    for lease, group in itertools.groupby(sorted(jobs, key=_id), _lease):
        together = list(group)
        ids = ",".join([str(job.id) for job in together])
        results = ",".join([f'"{job.id}":{job.result}' for job in together if job.result])
        claimed.append(f'{{"lease":{lease},"ids":"{{{ids}}}","results":{{{results}}}}}')
    params = {"jobs": f"[{','.join(claimed)}]", **of_ending(keep, now)}

    def decode(answers: Answers) -> CompletedLeases:
        [(isolation, done)], earlier, [(_, queues)] = answers
        if isolation != "read committed":
            raise PgqueueError(
                f"a job cannot be completed in a {isolation} transaction: it would miss a child "
                "that is added meanwhile; roll back, and use READ COMMITTED"
            )
        completed = CompletedLeases(dict.fromkeys(earlier, False))
        if done is None:
            completed |= dict.fromkeys([(job.id, job.lease) for job in jobs], True)
        else:
            completed |= {(int(id), lease): True for id, lease in msgspec.json.decode(done).items()}
        completed.freed = queues or ()
        return completed

    return Operation("complete", params, decode)


def completing(
    job: ClaimedJob,
    completion: Completion,
    keep: frozenset[State] = EVERYTHING,
    *,
    now: datetime | None = None,
) -> Plan[None]:
    """Complete *job*, with the jobs that appear with it, in a transaction of the task's own.

    Raises LeaseLost when it is another worker's by now: then the transaction must be rolled back.
    """
    # New jobs come after it, since its unique key is free then. Those that wait for it, or are
    # grafted, come before it: it may not be kept at all, and then is no parent afterwards.
    before = completion.jobs if completion.graft or follow(completion.jobs, job.id) else ()
    after = () if before else completion.jobs
    handles = yield from enqueue(before, workflow=job.workflow, now=now)
    if completion.graft:
        ends = ends_of(completion.graft)
        ids = [h.id for h, new in zip(handles, completion.jobs, strict=True) if id(new) in ends]
        if not (yield graft(job, ids)):
            raise _lost(job)
    completed = Completed(job.id, job.lease, completion.result)
    answer = yield complete([completed], keep=keep, now=now)
    if not answer.get((job.id, job.lease)):
        raise _lost(job)
    yield from enqueue(after, workflow=job.workflow, now=now)
    for workflow in completion.workflows:
        yield from enqueue(workflow.jobs, workflow=workflow, now=now)


def fail(
    jobs: Sequence[Failed], *, keep: frozenset[State] = EVERYTHING, now: datetime | None = None
) -> Operation[dict[tuple[int, int], State]]:
    """End attempts that went wrong; answer what became of each job whose lease held.

    A retry is ``retryable`` (``available`` without a delay), ``discarded`` when the attempts are
    used up, ``cancelled`` when the job will have expired by then.
    """
    rows = [
        {
            "id": job.id,
            "lease": job.lease,
            "verdict": job.verdict,
            "retry_in_seconds": _seconds(job.retry_in),
            "reason": job.reason,
            "error": raw(job.error),
        }
        for job in sorted(jobs, key=_id)
    ]
    return Operation("fail", {"jobs": as_json(rows), **of_ending(keep, now)}, _states_by_lease)


def locked(
    leases: Iterable[tuple[int, int]], *, staying: Collection[tuple[int, int]] = ()
) -> Operation[set[tuple[int, int]]]:
    """Find which of *leases*, (job id, lease), cannot be finished now without waiting.

    Another transaction has locked the job, or a child of it. *staying* are those that are to be
    tried again. In a transaction this one locks all others, so finishing them does not wait long.
    """
    stays = frozenset(staying)
    rows = [{"id": id, "lease": lse, "stays": (id, lse) in stays} for id, lse in sorted(leases)]
    return Operation(
        "locked",
        {"jobs": as_json(rows)},
        lambda answers: {(id, lease) for rows in answers for id, lease in rows},
    )


def release(
    jobs: Sequence[Released], *, keep: frozenset[State] = EVERYTHING, now: datetime | None = None
) -> Operation[dict[tuple[int, int], State]]:
    """Hand *jobs* back without spending the attempt; one that was asked to cancel is cancelled."""
    rows = [
        {
            "id": job.id,
            "lease": job.lease,
            "delay_seconds": _seconds(job.delay),
            "unknown": job.unknown,
            "unstarted": job.unstarted,
        }
        for job in sorted(jobs, key=_id)
    ]
    return Operation("release", {"jobs": as_json(rows), **of_ending(keep, now)}, _states_by_lease)


def _lost(job: ClaimedJob) -> LeaseLost:
    return LeaseLost(f"{job.task}: job {job.id} is another worker's by now; roll back")


def _states_by_lease(answers: Answers) -> dict[tuple[int, int], State]:
    return {(id, lease): State(state) for id, lease, state in answers[0] if id}


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
