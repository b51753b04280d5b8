"""An attempt ends: it succeeded, it failed, or it is handed back."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Literal

import msgspec

from pgqueue.errors import LeaseLost, PgqueueError
from pgqueue.hands import Completion
from pgqueue.jobs import State
from pgqueue.operations.claiming import ClaimedJob
from pgqueue.operations.dependencies import ends_of, follow, graft
from pgqueue.operations.enqueueing import enqueue
from pgqueue.operations.operation import Answers, Operation, Plan
from pgqueue.operations.params import EVERYTHING, as_json, of_ending, raw

_id, _lease = attrgetter("id"), attrgetter("lease")


class _Ending(msgspec.Struct, frozen=True, gc=False):
    """How a job leaves the hands of the worker that holds it under *lease*."""

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
    """An attempt that did not; *error* is JSON text {type, message, traceback}."""

    verdict: Literal["retry", "discard", "cancel"]
    retry_in: timedelta | None = None
    reason: str | None = None
    error: str | None = None


class Told(dict[tuple[int, int], bool]):
    """What was completed; *freed*: the queues in which children can run now."""

    freed: Sequence[str] = ()


class Released(_Ending, frozen=True, gc=False):
    """A job handed back, to run again after *delay*."""

    delay: timedelta | None = None


def complete(
    jobs: Sequence[Completed],
    *,
    keep: frozenset[State] = EVERYTHING,
    now: datetime | None = None,
) -> Operation[Told]:
    """Finishes *jobs* and unblocks their children.

    Answers for (id, lease) of those completed under that lease: True by this call, False by an
    earlier one; and where there is new work now.
    """
    claimed = []
    for lease, group in itertools.groupby(sorted(jobs, key=_id), _lease):
        together = list(group)
        ids = ",".join([str(job.id) for job in together])
        results = ",".join([f'"{job.id}":{job.result}' for job in together if job.result])
        claimed.append(f'{{"lease":{lease},"ids":[{ids}],"results":{{{results}}}}}')
    params = {"jobs": f"[{','.join(claimed)}]", **of_ending(keep, now)}

    def decode(answers: Answers) -> Told:
        [(isolation, done)], earlier, [(_, queues)] = answers
        if isolation != "read committed":
            raise PgqueueError(
                f"a job cannot be completed in a {isolation} transaction: it would miss a child "
                "that is added meanwhile; roll back, and use READ COMMITTED"
            )
        told = Told(dict.fromkeys(earlier, False))
        if done is None:
            told |= dict.fromkeys([(job.id, job.lease) for job in jobs], True)
        else:
            told |= {(int(id), lease): True for id, lease in msgspec.json.decode(done).items()}
        told.freed = queues or ()
        return told

    return Operation("complete", params, decode)


def completing(
    job: ClaimedJob,
    completion: Completion,
    keep: frozenset[State] = EVERYTHING,
    *,
    now: datetime | None = None,
) -> Plan[None]:
    """Completes *job*, with the jobs that appear with it, in a transaction of the task's own.

    Raises LeaseLost when it is another worker's by now: then the transaction must be rolled back.
    """
    # After it, its unique key is free; before it, it can be a parent, also where it is not kept.
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
    """Ends attempts that went wrong; answers what became of each whose lease held.

    A retry is ``retryable`` (``available`` without a delay), or ``discarded`` when the attempts are
    used up.
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


def busy(leases: Iterable[tuple[int, int]]) -> Operation[set[tuple[int, int]]]:
    """Which of *leases*, (job id, lease), somebody else's transaction keeps from finishing now."""
    rows = [{"id": id, "lease": lease} for id, lease in leases]
    return Operation("busy", {"jobs": as_json(rows)}, lambda a: {(id, lse) for id, lse in a[0]})


def release(
    jobs: Sequence[Released], *, keep: frozenset[State] = EVERYTHING, now: datetime | None = None
) -> Operation[dict[tuple[int, int], State]]:
    """Hands *jobs* back without spending the attempt; one that was asked to cancel is cancelled."""
    rows = [
        {"id": job.id, "lease": job.lease, "delay_seconds": _seconds(job.delay)}
        for job in sorted(jobs, key=_id)
    ]
    return Operation("release", {"jobs": as_json(rows), **of_ending(keep, now)}, _states_by_lease)


def _lost(job: ClaimedJob) -> LeaseLost:
    return LeaseLost(f"{job.task}: job {job.id} is another worker's by now; roll back")


def _states_by_lease(answers: Answers) -> dict[tuple[int, int], State]:
    return {(id, lease): State(state) for id, lease, state in answers[0] if id}


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
