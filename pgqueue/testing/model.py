"""The queue in plain Python: what every store must do, said once, with dicts and ints.

It is no store. One thing happens at a time, nothing is locked, nothing is durable, nobody sleeps.
Each verb is called as its namesake in `pgqueue.operations`, with the instant at which it happens,
and answers the same. `pgqueue.testing.histories` compares it with real stores.

What becomes available in one operation keeps the order of its ids; what becomes available later
comes after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

import msgspec

from pgqueue.errors import LeaseLost, PgqueueError, UnknownParent
from pgqueue.graphs import Workflow
from pgqueue.hands import Completion
from pgqueue.inspections import Link
from pgqueue.jobs import Handle, Job, NewJob, State
from pgqueue.jobs import Progress as Said
from pgqueue.operations import (
    EVERYTHING,
    ClaimedJob,
    Completed,
    Failed,
    Held,
    Leadership,
    Membership,
    Progress,
    Promoted,
    Released,
    Rescue,
    Rescued,
    Retention,
    Sweep,
    Told,
)
from pgqueue.testing.model_graph import FAILED
from pgqueue.testing.model_inspections import Inspections, in_hands

LEASES: Final = 10_000_000
LATER: Final = frozenset({State.SCHEDULED, State.RETRYABLE})


class Model(Inspections):
    """The queue; finished jobs are kept whose state is in *keep*."""

    def __init__(self, keep: frozenset[State] = EVERYTHING) -> None:
        super().__init__(keep)
        self.leaders: dict[str, tuple[int, datetime]] = {}
        self.last = 0
        self._workers = count(1)

    # Jobs come

    def enqueue(
        self,
        jobs: Sequence[NewJob[Any]],
        *,
        workflow: Workflow | int | None = None,
        now: datetime,
    ) -> list[Handle[Any]]:
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
            handle = self._add(job, joined, now)
            handles.append(handle)
            placed[id(job)] = handle.id
            for edge in job.edges if handle.created else ():
                parent = edge.parent
                at = placed[id(parent)] if isinstance(parent, NewJob) else _id(parent)
                link = Link(at, handle.id, edge.on_failure, None, edge.name)
                self.edges.setdefault((handle.id, at), link)
        new = [handle.id for handle in handles if handle.created]
        parents = {parent for child, parent in self.edges if child in new}
        ended = {p: s for p in parents if (s := self.jobs[p].state).finished}
        self._settle(ended, now, kept=True)  # who enqueues knows of no retention
        return handles

    def _add(self, job: NewJob[Any], workflow: int | None, now: datetime) -> Handle[Any]:
        if holder := self._holder(job.unique):
            return Handle(holder, job.task, created=False)
        due = job.run_at or now + (job.delay or timedelta(0))
        ready = State.SCHEDULED if due > now else State.AVAILABLE
        self.last += 1
        added = Job(
            id=self.last,
            task=job.task,
            state=State.BLOCKED if job.edges else ready,
            queue=job.queue,
            priority=job.priority,
            position=next(self._positions),
            args=msgspec.json.decode(job.args),
            attempt=0,
            max_attempts=job.max_attempts,
            run_at=due,
            enqueued_at=now,
            timeout_seconds=job.timeout.total_seconds() if job.timeout else None,
            unique_key=job.unique,
            tags=job.tags,
            metadata=msgspec.json.decode(job.metadata) if job.metadata else None,
            workflow=workflow,
        )
        self.jobs[added.id] = added
        return Handle(added.id, job.task, workflow=workflow)

    def _holder(self, key: str | None) -> int | None:
        """The unfinished job that holds *key*."""
        same = (j.id for j in self.jobs.values() if j.unique_key == key and not j.finished)
        return None if key is None else next(same, None)

    # An attempt

    def claim(
        self, queue: str, worker: int, lease: int, limit: int, *, now: datetime
    ) -> list[ClaimedJob]:
        ready = [j for j in self.jobs.values() if (j.state, j.queue) == (State.AVAILABLE, queue)]
        ready.sort(key=lambda job: (job.priority, job.position))
        taken = [] if queue in self.paused else ready[:limit]
        owner = {"worker": worker, "lease": lease, "claimed_at": now}
        return [
            in_hands(self._change(job, state=State.RUNNING, attempt=job.attempt + 1, **owner))
            for job in taken
        ]

    def recall(self, worker: int, lease: int) -> list[ClaimedJob]:
        return [in_hands(job) for job in self._running() if job.lease == lease]

    def complete(self, jobs: Iterable[Completed], *, now: datetime) -> Told:
        told = Told()
        ended: dict[int, State] = {}
        for id, lease, result in map(msgspec.structs.astuple, jobs):
            job = self.jobs.get(id)
            if job and job.state == State.COMPLETED and job.lease == lease:
                told.setdefault((id, lease), False)
            if job := self._held(id, lease):
                told[id, lease] = True
                ended[id] = State.COMPLETED
                value = None if result is None else msgspec.json.decode(result)
                self._end(job, State.COMPLETED, now, kept=True, reason=None, result=value)
        if State.COMPLETED not in self.keep:
            for unwanted in ended.keys() - self._wanted():
                del self.jobs[unwanted]
        told.freed = self._settle(ended, now)
        return told

    def completing(self, job: ClaimedJob, completion: Completion, *, now: datetime) -> None:
        """Raises LeaseLost or UnknownParent; then nothing of it happened."""
        before = (dict(self.jobs), dict(self.edges), dict(self.workflows), self.last)
        try:
            self._completing(job, completion, now)
        except PgqueueError:
            self.jobs, self.edges, self.workflows, self.last = before
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
            if error is not None:
                job = self._blame(job, now, **msgspec.json.decode(error))
            if verdict == "cancel" or job.cancel_requested:
                told[id, lease] = ended[id] = State.CANCELLED
            elif verdict == "discard" or job.attempt >= job.max_attempts:
                told[id, lease] = ended[id] = State.DISCARDED
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
        for id, lease, delay in sorted(map(msgspec.structs.astuple, jobs)):
            if not (job := self._held(id, lease)):
                continue
            if job.cancel_requested:
                told[id, lease] = ended[id] = State.CANCELLED
                self._end(job, State.CANCELLED, now)
                continue
            job = self._change(job, attempt=job.attempt - 1, lease=None, worker=None)
            if delay:
                told[id, lease] = State.SCHEDULED
                self._change(job, state=State.SCHEDULED, run_at=now + delay)
            else:
                told[id, lease] = State.AVAILABLE
                self._free(job)
        self._settle(ended, now)
        return told

    def progress(self, jobs: Iterable[Progress]) -> set[tuple[int, int]]:
        told = set()
        for id, lease, text in jobs:
            if job := self._held(id, lease):
                told.add((id, lease))
                said = msgspec.structs.asdict(job.progress or Said()) | msgspec.json.decode(text)
                self._change(job, progress=Said(**said))
        return told

    # Persons

    def cancel(
        self, ids: Iterable[int], workflow: int | None, *, now: datetime
    ) -> dict[int, State]:
        told: dict[int, State] = {}
        asked = {*ids, *(j.id for j in self.jobs.values() if workflow and j.workflow == workflow)}
        for job in self._unfinished(asked):
            told[job.id] = State.RUNNING if job.state == State.RUNNING else State.CANCELLED
            because = "cancelled on request"
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
            for job in self._unfinished(back | hurried):
                if not self.waits(job.id):
                    self._free(job, run_at=now)
            revived |= back
            hurried = set()
        told = {id: self.jobs[id] for id in asked}
        return {id: "held" if job.finished else str(job.state) for id, job in told.items()}

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

    # Queues, workers, leaders

    def pause(self, queue: str, *, now: datetime) -> None:
        self.paused.setdefault(queue, now)

    def resume(self, queue: str) -> None:
        self.paused.pop(queue, None)

    def join(self, *, now: datetime) -> Membership:
        worker = next(self._workers)
        self.workers[worker] = now
        return Membership(worker, worker * LEASES)

    def leave(self, worker: int) -> None:
        self.workers.pop(worker, None)

    def heartbeat(
        self, worker: int, leases: Iterable[tuple[int, int]], *, now: datetime
    ) -> dict[tuple[int, int], Held]:
        self.workers[worker] = now
        held = ((id, lease, self._held(id, lease)) for id, lease in leases)
        return {(id, ls): Held(id, ls, job.cancel_requested) for id, ls, job in held if job}

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
            and job.claimed_at < now - timedelta(minutes=1)
        ]
        for job in orphans:
            self._free(job, lease=None, attempt=job.attempt - 1, rescues=job.rescues + 1)
        return Sweep(0, len(orphans))

    def elect(self, name: str, worker: int, term: timedelta, *, now: datetime) -> Leadership:
        leader, until = self.leaders.get(name, (worker, now))
        if leader != worker and until > now:
            return Leadership(False, leader, len(self.workers))
        self.leaders[name] = (worker, now + term)
        return Leadership(True, worker, len(self.workers))

    def resign(self, name: str, worker: int) -> None:
        if self.leaders.get(name, (0,))[0] == worker:
            del self.leaders[name]


def _id(parent: Handle[Any] | int) -> int:
    return parent if isinstance(parent, int) else parent.id
