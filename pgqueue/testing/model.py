"""The queue in plain Python: what every store must do, said once, with dicts and ints.

It is no store: one thing happens at a time, nothing is locked, nothing is durable, nobody sleeps.
Each verb is called like the one of the same name in `pgqueue.operations`, with the instant at which
it happens, and answers the same. `pgqueue.testing.histories` compares it with real stores.

What becomes available in one operation keeps the order of its ids; what becomes available later
comes after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from pgqueue.errors import InvalidJob, LeaseLost, PgqueueError, UnknownParent
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.graphs import Workflow
from pgqueue.jobs.job import Handle, Job, NewJob, State
from pgqueue.jobs.job import Progress as Said
from pgqueue.jobs.retention import Retention
from pgqueue.operations import (
    EVERYTHING,
    ClaimedJob,
    Completed,
    CompletedLeases,
    Expired,
    Failed,
    ProgressReport,
    Promoted,
    Released,
    Rescue,
    Rescued,
    Sweep,
)
from pgqueue.operations.inspections import Link
from pgqueue.testing.model_graph import FAILED
from pgqueue.testing.model_inspections import in_hands
from pgqueue.testing.model_unique import Keyed

LATER: Final = frozenset({State.SCHEDULED, State.RETRYABLE})


class Model(Keyed):
    """The queue; of finished jobs it keeps those whose state is in *keep*."""

    def __init__(self, keep: frozenset[State] = EVERYTHING) -> None:
        super().__init__(keep)

    # Jobs come

    def enqueue(
        self,
        jobs: Sequence[NewJob[Any]],
        *,
        workflow: Workflow | int | None = None,
        now: datetime,
    ) -> list[Handle[Any]]:
        """Enqueue all of the jobs, or none. Raises InvalidJob, UnknownParent or DuplicateJob."""
        before = self._all()
        try:
            return self._enqueue(jobs, workflow, now)
        except PgqueueError:
            self._back_to(before)
            raise

    def _enqueue(
        self, jobs: Sequence[NewJob[Any]], workflow: Workflow | int | None, now: datetime
    ) -> list[Handle[Any]]:
        if any(job.edges and job.uniqueness and job.uniqueness.replaces for job in jobs):
            raise InvalidJob("it may replace a job")
        for parent in {edge.parent for job in jobs for edge in job.edges}:
            if not isinstance(parent, NewJob) and _id(parent) not in self.jobs:
                raise UnknownParent(f"no job {_id(parent)}")
        if isinstance(workflow, Workflow):
            joined: int | None = len(self.workflows) + 1
            assert joined
            self.workflows[joined] = workflow
        else:
            joined = workflow
        handles = []
        placed: dict[int, int] = {}
        for job in jobs:
            handle, behind = self._add(job, joined, now)
            handles.append(handle)
            placed[id(job)] = handle.id
            for edge in (*job.edges, *behind) if handle.created else ():
                parent = edge.parent
                at = placed[id(parent)] if isinstance(parent, NewJob) else _id(parent)
                link = Link(at, handle.id, edge.on_failure, None, edge.name)
                self.edges.setdefault((handle.id, at), link)
        new = [handle.id for handle in handles if handle.created]
        parents = {parent for child, parent in self.edges if child in new}
        # A key that holds for a time can outlast its job: then there is nothing left to wait for.
        found = {p: self.jobs[p].state if p in self.jobs else State.COMPLETED for p in parents}
        ended = {p: state for p, state in found.items() if state.finished}
        self._settle(ended, now, kept=True)  # an enqueuer knows of no retention
        return handles

    # An attempt

    def claim(
        self, queue: str, worker: int, lease: int, limit: int, *, now: datetime
    ) -> list[ClaimedJob]:
        taken = self._taken_plainly(queue, limit)
        owner = {"worker": worker, "lease": lease, "claimed_at": now}
        return [
            in_hands(self._change(job, state=State.RUNNING, attempt=job.attempt + 1, **owner))
            for job in taken
        ]

    def recall(self, worker: int, lease: int) -> list[ClaimedJob]:
        return [in_hands(job) for job in self._running() if job.lease == lease]

    def recollect(self, worker: int) -> set[tuple[int, int]]:
        return {(job.id, job.lease or 0) for job in self._running() if job.worker == worker}

    def complete(self, jobs: Iterable[Completed], *, now: datetime) -> CompletedLeases:
        told = CompletedLeases()
        ended: dict[int, State] = {}
        unkept = set()
        for id, lease, result in map(msgspec.structs.astuple, jobs):
            job = self.jobs.get(id)
            if job and job.state == State.COMPLETED and job.lease == lease:
                told.setdefault((id, lease), False)
            if job := self._held(id, lease):
                told[id, lease] = True
                ended[id] = State.COMPLETED
                unkept |= set() if job.keep else {id}
                value = None if result is None else msgspec.json.decode(result)
                self._end(job, State.COMPLETED, now, kept=True, reason=None, result=value)
        for unwanted in (unkept if State.COMPLETED in self.keep else ended.keys()) - self._wanted():
            del self.jobs[unwanted]
        told.freed = self._settle(ended, now)
        return told

    def completing(self, job: ClaimedJob, completion: Completion, *, now: datetime) -> None:
        """Complete *job*, and enqueue what its context collected, or do nothing. Raises LeaseLost
        or UnknownParent."""
        before = self._all()
        try:
            self._completing(job, completion, now)
        except PgqueueError:
            self._back_to(before)
            raise

    def _completing(self, job: ClaimedJob, completion: Completion, now: datetime) -> None:
        parents = [edge.parent for new in completion.jobs for edge in new.edges]
        before = completion.jobs if completion.graft or job.id in parents else ()
        after = () if before else completion.jobs
        handles = self.enqueue(before, workflow=job.workflow, now=now)
        if completion.graft:
            inner = {id(edge.parent) for new in completion.jobs for edge in new.edges}
            ends = {id(new) for new in completion.graft} - inner
            pairs = zip(handles, completion.jobs, strict=True)
            self._graft(job.id, [handle.id for handle, new in pairs if id(new) in ends])
        told = self.complete([Completed(job.id, job.lease, completion.result)], now=now)
        if not told.get((job.id, job.lease)):
            raise LeaseLost(f"job {job.id}")
        self.enqueue(after, workflow=job.workflow, now=now)
        for workflow in completion.workflows:
            self.enqueue(workflow.jobs, workflow=workflow, now=now)

    def fail(self, jobs: Iterable[Failed], *, now: datetime) -> dict[tuple[int, int], State]:
        told: dict[tuple[int, int], State] = {}
        ended: dict[int, State] = {}
        for id, lease, verdict, retry_in, reason, error in sorted(
            map(msgspec.structs.astuple, jobs)
        ):
            if not (job := self._held(id, lease)):
                continue
            self.due.pop(id, None)
            if error is not None:
                job = self._blame(job, now, **msgspec.json.decode(error))
            if verdict == "expire":
                told[id, lease] = ended[id] = State.CANCELLED
                job = self._change(job, attempt=job.attempt - 1)
                reason = expired(job)
            elif verdict == "cancel" or job.cancel_requested:
                told[id, lease] = ended[id] = State.CANCELLED
            elif verdict == "discard" or job.attempt >= job.max_attempts:
                told[id, lease] = ended[id] = State.DISCARDED
            elif job.expires_at and job.expires_at < now + (retry_in or timedelta(0)):
                told[id, lease] = ended[id] = State.CANCELLED
                reason = expired(job)
            elif retry_in:
                told[id, lease] = State.RETRYABLE
                self._change(job, state=State.RETRYABLE, lease=None, run_at=now + retry_in)
            else:
                told[id, lease] = State.AVAILABLE
                self._free(job, lease=None, run_at=now)
            if id in ended:
                self._end(job, ended[id], now, reason=reason or job.reason)
        self._settle(ended, now)
        return told

    def release(self, jobs: Iterable[Released], *, now: datetime) -> dict[tuple[int, int], State]:
        told: dict[tuple[int, int], State] = {}
        ended: dict[int, State] = {}
        for id, lease, delay, unknown, unstarted in sorted(map(msgspec.structs.astuple, jobs)):
            if not (job := self._held(id, lease)):
                continue
            if unstarted:
                self._give_back(job)
            if job.cancel_requested:
                told[id, lease] = ended[id] = State.CANCELLED
                self._end(job, State.CANCELLED, now)
                continue
            if unknown:
                self.due.setdefault(id, job.run_at)
            elif delay:
                self.due.pop(id, None)
            job = self._change(job, attempt=job.attempt - 1, lease=None, worker=None)
            if delay:
                told[id, lease] = State.SCHEDULED
                self._change(job, state=State.SCHEDULED, run_at=now + delay)
            else:
                told[id, lease] = State.AVAILABLE
                self._free(job)
        self._settle(ended, now)
        return told

    def progress(self, jobs: Iterable[ProgressReport]) -> set[tuple[int, int]]:
        told = set()
        for id, lease, text in jobs:
            if job := self._held(id, lease):
                told.add((id, lease))
                said = msgspec.structs.asdict(job.progress or Said()) | msgspec.json.decode(text)
                self._change(job, progress=Said(**said))
        return told

    # Persons

    def cancel(
        self,
        ids: Iterable[int],
        workflow: int | None,
        states: Collection[State] | None = None,
        *,
        because: str = "cancelled on request",
        now: datetime,
    ) -> dict[int, State]:
        told: dict[int, State] = {}
        asked = {*ids, *(j.id for j in self.jobs.values() if workflow and j.workflow == workflow)}
        for job in self._unfinished(asked):
            if states is not None and job.state not in states:
                continue
            told[job.id] = State.RUNNING if job.state == State.RUNNING else State.CANCELLED
            if job.state == State.RUNNING:
                self._change(job, cancel_requested=True, reason=because)
            else:
                self._end(job, State.CANCELLED, now, reason=because)
        self._settle({id: s for id, s in told.items() if s == State.CANCELLED}, now)
        return told

    def retry(self, ids: Iterable[int], workflow: int | None, *, now: datetime) -> dict[int, str]:
        asked = {id for id in ids if id in self.jobs}
        asked |= {
            j.id
            for j in self.jobs.values()
            if workflow and j.workflow == workflow and j.state in FAILED
        }
        hurried = {job.id for job in self._unfinished(asked) if job.state in LATER}
        revived: set[int] = set()
        while (back := self._coming_back(asked, revived)) or hurried:
            self._revive(back, now)
            for id in back:
                self.due.pop(id, None)
            for job in self._unfinished(back | hurried):
                if not self.waits(job.id):
                    self._free(job, run_at=now)
            revived |= back
            hurried = set()
        told = {id: self.jobs[id] for id in asked}
        return {id: "held" if job.finished else str(job.state) for id, job in told.items()}

    def move(self, ids: Iterable[int], queue: str | None, priority: int | None) -> dict[int, State]:
        found = self._unfinished(set(ids))
        waiting = [job for job in found if job.state != State.RUNNING]
        for job in sorted(waiting, key=lambda job: (job.priority, job.position)):
            if queue not in (None, job.queue):
                self.permits.pop(job.id, None)
            self._change(
                job,
                queue=queue or job.queue,
                priority=job.priority if priority is None else priority,
                position=next(self._positions),
            )
        return {job.id: job.state for job in found}

    def purge(self, ids: Iterable[int]) -> dict[int, str]:
        wanted = self._wanted()
        told = {
            id: "wanted" if id in wanted else "purged"
            for id in ids
            if id in self.jobs and self.jobs[id].finished
        }
        for id, answer in told.items():
            if answer == "purged":
                del self.jobs[id]
        return told

    # Time

    def promote(self, *, now: datetime) -> Promoted:
        later = [job for job in self.jobs.values() if job.state in LATER]
        later.sort(key=lambda job: (job.run_at, job.id))
        queues: dict[str, int] = {}
        for job in later:
            if job.run_at <= now:
                self._free(job)
                queues[job.queue] = queues.get(job.queue, 0) + 1
        ahead = [job.run_at - now for job in later if job.run_at > now]
        return Promoted(queues, min(ahead, default=None))

    def expire(self, *, now: datetime) -> Expired:
        expiring = [j for j in self._unfinished(self.jobs) if j.expires_at]
        waiting = [j for j in expiring if j.state != State.RUNNING]
        late = [j for j in waiting if j.expires_at and j.expires_at < now]
        for job in late:
            self._end(job, State.CANCELLED, now, reason=expired(job))
        self._settle({job.id: State.CANCELLED for job in late}, now)
        ahead = [j.expires_at - now for j in waiting if j.expires_at and j.expires_at >= now]
        return Expired(len(late), min(ahead, default=None))

    def prune(self, retention: Retention, *, now: datetime) -> None:
        kept = retention.seconds()
        wanted = self._wanted()
        for id, job in list(self.jobs.items()):
            if job.finished_at and (seconds := kept[job.state]) is not None:
                past = job.finished_at <= now - timedelta(seconds=seconds)
                if past and id not in wanted:
                    del self.jobs[id]
        for child, parent in list(self.edges):
            alive = self._unfinished([parent])
            if child not in self.jobs and not alive:
                del self.edges[child, parent]

    # Workers that die

    def rescue(self, frozen: timedelta, max_rescues: int, *, now: datetime) -> Rescue:
        dead = {worker for worker, beat in self.workers.items() if beat <= now - frozen}
        for worker in dead:
            del self.workers[worker]
        rescued = []
        ended: dict[int, State] = {}
        for job in self._running():
            if not job.worker or job.worker not in dead:
                continue
            message = f"worker {job.worker} (test) died or froze while it ran this job"
            worn = job.rescues >= max_rescues
            job = self._blame(job, now, type="WorkerLost", message=message, rescues=1)
            if job.cancel_requested:
                ended[job.id] = State.CANCELLED
                self._end(job, State.CANCELLED, now)
            elif worn:
                ended[job.id] = State.DISCARDED
                because = f"it has killed its worker {max_rescues + 1} times"
                self._end(job, State.DISCARDED, now, reason=because)
            else:
                self._free(job, lease=None, attempt=job.attempt - 1)
            state = ended.get(job.id, State.AVAILABLE)
            rescued.append(Rescued(job.id, state, job.worker or 0, job.task))
        self._settle(ended, now)
        return Rescue(rescued, len(self.workers))

    def sweep(self, *, now: datetime) -> Sweep:
        orphans = [
            job
            for job in self._running()
            if job.worker not in self.workers
            and job.claimed_at
            and not timedelta(seconds=-1) <= now - job.claimed_at <= timedelta(minutes=1)
        ]
        for job in orphans:
            self._free(job, lease=None, attempt=job.attempt - 1, rescues=job.rescues + 1)
        return Sweep(0, len(orphans))


def expired(job: Job) -> str:
    """Return why the job ends."""
    assert job.expires_at
    return f"expired: no attempt was to begin after {job.expires_at:%Y-%m-%dT%H:%M:%S.%fZ}"


def _id(parent: Handle[Any] | int) -> int:
    return parent if isinstance(parent, int) else parent.id
