"""A store that plays the model's history, and answers in the model's numbers.

Ids, workers and leases of a store are its own. Here they are counted as they appear, as the model
counts, and translated, in texts too. Of places in a queue only the order of claims is compared.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from pgqueue import operations
from pgqueue.backends.base import Backend
from pgqueue.backends.plans import carry_out
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.graphs import Workflow
from pgqueue.jobs.job import Edge, Handle, Job, JobError, NewJob, State
from pgqueue.jobs.job import Progress as Said
from pgqueue.jobs.retention import Retention
from pgqueue.jobs.unique import MADE
from pgqueue.operations import (
    ClaimedInTurn,
    ClaimedJob,
    Completed,
    CompletedLeases,
    Expired,
    Failed,
    Held,
    Leadership,
    Membership,
    Operation,
    Place,
    Plan,
    ProgressReport,
    Promoted,
    Released,
    Rescue,
    Sweep,
    inspections,
)
from pgqueue.operations.inspections import ParentResult
from pgqueue.operations.topics import DUE
from pgqueue.testing.model_inspections import as_text
from pgqueue.testing.model_members import LEASES
from pgqueue.testing.numbers import Numbers

T = TypeVar("T")
Lease = tuple[int, int]

NAMED = re.compile(r"^(parent|worker) (\d+)\b")


class RenumberedStore:
    """One store, with the verbs of the model."""

    def __init__(self, name: str, backend: Backend, keep: frozenset[State]) -> None:
        self.name = name
        self._backend = backend
        self._keep = keep
        self._jobs = Numbers()
        self._workflows = Numbers()
        self._workers = Numbers()
        self._leases = Numbers()

    def _do(self, operation: Operation[T]) -> T:
        return self._backend.execute(operation)

    # Jobs come

    def enqueue(
        self,
        jobs: Sequence[NewJob[Any]],
        *,
        workflow: Workflow | int | None = None,
        now: datetime,
    ) -> list[Handle[Any]]:
        if isinstance(workflow, int):
            workflow = self._workflows.theirs(workflow)
        plan = operations.enqueue(self._translated(jobs), workflow=workflow, now=now)
        return [
            replace(
                handle,
                id=self._jobs.ours(handle.id),
                workflow=handle.workflow and self._workflows.ours(handle.workflow),
            )
            for handle in self._carry(plan)
        ]

    def completing(self, job: ClaimedJob, completion: Completion, *, now: datetime) -> None:
        jobs = self._translated(completion.jobs)
        moved = {id(old): new for old, new in zip(completion.jobs, jobs, strict=True)}
        theirs = replace(
            completion,
            jobs=tuple(jobs),
            graft=tuple(moved[id(job)] for job in completion.graft),
            workflows=tuple(
                replace(flow, jobs=tuple(self._translated(flow.jobs)))
                for flow in completion.workflows
            ),
        )
        number, lease = self._lease(job.id, job.lease)
        workflow = job.workflow and self._workflows.theirs(job.workflow)
        claimed = replace(job, id=number, lease=lease, workflow=workflow)
        self._carry(operations.completing(claimed, theirs, self._keep, now=now))

    def _translated(self, jobs: Iterable[NewJob[Any]]) -> list[NewJob[Any]]:
        """Return *jobs* with the store's numbers for parents of earlier calls."""
        made: dict[int, NewJob[Any]] = {}
        for job in jobs:
            edges = []
            for edge in job.edges:
                parent = edge.parent
                if isinstance(parent, NewJob):
                    parent = made[id(parent)]
                elif isinstance(parent, int):
                    parent = self._jobs.theirs(parent)
                edges.append(Edge(parent, edge.on_failure, edge.name))
            made[id(job)] = replace(job, edges=tuple(edges))
        return list(made.values())

    def _carry(self, plan: Plan[T]) -> T:
        """Run *plan* in a transaction; numbers that appeared in it count once it has committed."""
        appeared: list[tuple[Numbers, int]] = []
        with self._backend.transaction() as executor:

            def execute(operation: Operation[Any]) -> Any:
                answer = executor.execute(operation)
                if operation.name == "begin":
                    appeared.append((self._workflows, answer))
                elif operation.name == "enqueue":
                    ids = [answer] if isinstance(answer, int) else answer  # for one job: its id
                    appeared.extend((self._jobs, id) for id in ids)
                elif operation.name == "enqueue_unique":
                    appeared.extend((self._jobs, id) for _, id in sorted(answer[0]))
                elif operation.name == "enqueue_once":
                    new = ((n, id) for n, id, outcome, _ in answer if outcome in MADE)
                    appeared.extend((self._jobs, id) for _, id in sorted(new))
                return answer

            told = carry_out(plan, execute)
        for numbers, their in appeared:
            numbers.appears(their)
        return told

    # An attempt

    def claim(
        self, queue: str, worker: int, lease: int, limit: int, *, now: datetime
    ) -> list[ClaimedJob]:
        their = self._leases.theirs(worker * LEASES) + lease % LEASES
        self._leases.appears(their, lease)
        claim = operations.claim(queue, self._workers.theirs(worker), their, limit, now=now)
        return [self._claimed(job) for job in self._do(claim)]

    def claim_in_turn(
        self, queue: str, worker: int, lease: int, limit: int, *turn: Any, now: datetime
    ) -> ClaimedInTurn:
        their = self._leases.theirs(worker * LEASES) + lease % LEASES
        self._leases.appears(their, lease)
        options = dict(zip(("after", "quantum", "steps"), turn, strict=True))
        where = (queue, self._workers.theirs(worker), their, limit)
        taken = self._do(operations.claim_in_turn(*where, **options, now=now))
        return taken._replace(jobs=[self._claimed(job) for job in taken.jobs], free_in=None)

    def recall(self, worker: int, lease: int) -> list[ClaimedJob]:
        recall = operations.recall(self._workers.theirs(worker), self._leases.theirs(lease))
        return sorted((self._claimed(job) for job in self._do(recall)), key=lambda job: job.id)

    def recollect(self, worker: int) -> set[tuple[int, int]]:
        held = self._do(operations.recollect(self._workers.theirs(worker)))
        return {self._our_lease(*pair) for pair in held}

    def complete(self, jobs: Iterable[Completed], *, now: datetime) -> CompletedLeases:
        done = [Completed(*self._lease(*job.held), job.result) for job in jobs]
        theirs = self._do(operations.complete(done, keep=self._keep, now=now))
        told = CompletedLeases(self._by_lease(theirs))
        told.freed = sorted({*theirs.freed} - {DUE})
        return told

    def fail(self, jobs: Iterable[Failed], *, now: datetime) -> dict[Lease, State]:
        failed = [
            msgspec.structs.replace(
                job, id=self._jobs.theirs(job.id), lease=self._leases.theirs(job.lease)
            )
            for job in jobs
        ]
        told = self._do(operations.fail(failed, keep=self._keep, now=now))
        return self._by_lease(told)

    def release(self, jobs: Iterable[Released], *, now: datetime) -> dict[Lease, State]:
        released = [
            Released(*self._lease(*job.held), job.delay, job.unknown, job.unstarted) for job in jobs
        ]
        told = self._do(operations.release(released, keep=self._keep, now=now))
        return self._by_lease(told)

    def progress(self, jobs: Iterable[ProgressReport]) -> set[Lease]:
        said = [ProgressReport(*self._lease(id, lease), text) for id, lease, text in jobs]
        return {self._our_lease(*pair) for pair in self._do(operations.progress(said))}

    # Ends, and returns

    def cancel(
        self,
        ids: Iterable[int],
        workflow: int | None,
        states: Collection[State] | None = None,
        *,
        now: datetime,
    ) -> dict[int, Any]:
        cancel = operations.cancel(
            map(self._jobs.theirs, ids),
            workflow=workflow and self._workflows.theirs(workflow),
            states=states,
            keep=self._keep,
            now=now,
        )
        return {self._jobs.ours(id): state for id, state in self._do(cancel).items()}

    def retry(self, ids: Iterable[int], workflow: int | None, *, now: datetime) -> dict[int, str]:
        retry = operations.retry(
            map(self._jobs.theirs, ids),
            workflow=workflow and self._workflows.theirs(workflow),
            keep=self._keep,
            now=now,
        )
        return {self._jobs.ours(id): state for id, state in self._do(retry).items()}

    def move(self, ids: Iterable[int], queue: str | None, priority: int | None) -> dict[int, State]:
        move = operations.move(map(self._jobs.theirs, ids), queue=queue, priority=priority)
        return {self._jobs.ours(id): state for id, state in self._do(move).items()}

    def purge(self, ids: Iterable[int]) -> dict[int, str]:
        told = self._do(operations.purge(map(self._jobs.theirs, ids)))
        return {self._jobs.ours(id): answer for id, answer in told.items()}

    def choose(self, filter: Filter, newest: bool, *, now: datetime) -> list[tuple[int, State]]:
        """Return what *filter* matches, in small portions: so most walks go on where the one before
        stopped."""
        if filter.workflow:
            filter = replace(filter, workflow=self._workflows.theirs(filter.workflow))
        found: list[tuple[int, State]] = []
        place: Place | None = Place()
        while place is not None:
            chosen = self._do(
                operations.choose(filter, newest=newest, place=place, limit=2, look=3, now=now)
            )
            found += [(self._jobs.ours(job.id), job.state) for job in chosen.jobs]
            place = chosen.rest
        return found

    def promote(self, *, now: datetime) -> Promoted:
        return self._do(operations.promote(now=now))

    def prune(self, retention: Retention, *, now: datetime) -> None:
        carry_out(operations.tidy(retention, now=now), self._do)

    # Queues, workers, leaders

    def pause(self, queue: str, *, now: datetime) -> None:
        self._do(operations.pause(queue, now=now))

    def resume(self, queue: str) -> None:
        self._do(operations.resume(queue))

    def join(self, *, now: datetime) -> Membership:
        member = self._do(operations.join(_profile(now), now=now))
        worker = self._workers.appears(member.worker)
        self._leases.appears(member.lease, worker * LEASES)
        return Membership(worker, worker * LEASES)

    def leave(self, worker: int) -> None:
        self._do(operations.leave(self._workers.theirs(worker)))

    def heartbeat(
        self, worker: int, leases: Iterable[Lease], *, now: datetime
    ) -> dict[Lease, Held]:
        theirs = [self._lease(*pair) for pair in leases]
        by = self._workers.theirs(worker)
        held = self._do(operations.heartbeat(by, theirs, _profile(now), now=now))
        answers = {self._our_lease(*pair): job.cancel_requested for pair, job in held.items()}
        return {pair: Held(*pair, requested) for pair, requested in answers.items()}

    def rescue(self, frozen: timedelta, max_rescues: int, *, now: datetime) -> Rescue:
        rescued, workers = self._do(
            operations.rescue(frozen=frozen, max_rescues=max_rescues, keep=self._keep, now=now)
        )
        ours = [
            job._replace(id=self._jobs.ours(job.id), worker=self._workers.ours(job.worker))
            for job in rescued
        ]
        return Rescue(sorted(ours), workers)

    def expire(self, *, now: datetime) -> Expired:
        return self._do(operations.expire(keep=self._keep, now=now))

    def sweep(self, *, now: datetime) -> Sweep:
        return self._do(operations.sweep(keep=self._keep, now=now))

    def elect(self, name: str, worker: int, term: timedelta, *, now: datetime) -> Leadership:
        by = self._workers.theirs(worker)
        elected, leader, workers = self._do(operations.elect(name, by, term, now=now))
        return Leadership(elected, leader and self._workers.ours(leader), workers)

    def resign(self, name: str, worker: int) -> None:
        self._do(operations.resign(name, self._workers.theirs(worker)))

    # Reading

    def get(self, ids: Iterable[int]) -> dict[int, Job]:
        found = self._do(inspections.get(map(self._jobs.theirs, ids)))
        return {job.id: job for job in map(self._job, found.values())}

    def listing(self) -> list[Job]:
        """Return every job, the newest first."""
        return [self._job(job) for job in self._do(inspections.list_jobs(limit=100_000))]

    def parents(self, ids: Iterable[int]) -> list[ParentResult]:
        found = self._do(inspections.parents(map(self._jobs.theirs, ids)))
        return [
            edge._replace(
                child=self._jobs.ours(edge.child),
                parent=self._jobs.ours(edge.parent),
                result=canonical(edge.result),
            )
            for edge in found
        ]

    def present(self) -> dict[int, datetime]:
        """Return the workers, and when each last gave a sign of life."""
        found = self._do(inspections.workers())
        return {self._workers.ours(worker.id): worker.heartbeat_at for worker in found}

    def pauses(self) -> dict[str, datetime]:
        """Return the queues that are paused, and since when."""
        found = self._do(inspections.queues())
        return {queue.name: queue.paused_at for queue in found if queue.paused_at}

    def counts(self, *, now: datetime) -> dict[tuple[str, State], tuple[int, float]]:
        """Return the live jobs by queue and state, and by how many seconds the first of them is
        late."""
        found = self._do(inspections.count(now=now)).counts
        return {(c.queue, c.state): (c.count, round(c.late.total_seconds(), 3)) for c in found}

    def flows(self) -> dict[int, tuple[str, tuple[str, ...], Mapping[State, int]]]:
        """Return the workflows that have jobs: name, tags, jobs by state."""
        found = self._do(inspections.workflows(limit=100_000))
        return {
            self._workflows.ours(flow.id): (flow.name, flow.tags, flow.states)
            for flow in found
            if flow.states
        }

    # Numbers

    def _claimed(self, job: ClaimedJob) -> ClaimedJob:
        number, lease = self._our_lease(job.id, job.lease)
        return replace(
            job,
            id=number,
            lease=lease,
            position=0,
            args=canonical(job.args),
            progress=job.progress and as_text(msgspec.json.decode(job.progress, type=Said)),
            metadata=canonical(job.metadata),
            workflow=job.workflow and self._workflows.ours(job.workflow),
        )

    def _job(self, job: Job) -> Job:
        return replace(
            job,
            id=self._jobs.ours(job.id),
            position=None,
            worker=job.worker and self._workers.ours(job.worker),
            lease=job.lease and self._leases.ours(job.lease),
            workflow=job.workflow and self._workflows.ours(job.workflow),
            cause=job.cause and self._jobs.ours(job.cause),
            reason=job.reason and self._text(job.reason),
            errors=tuple(map(self._error, job.errors)),
        )

    def _error(self, error: JobError) -> JobError:
        worker = error.worker and self._workers.ours(error.worker)
        return replace(error, worker=worker, message=self._text(error.message))

    def _text(self, text: str) -> str:
        """Return *text* with the model's numbers for parents and workers."""
        numbers = {"parent": self._jobs, "worker": self._workers}
        return NAMED.sub(lambda m: f"{m[1]} {numbers[m[1]].ours(int(m[2]))}", text)

    def _lease(self, id: int, lease: int) -> Lease:
        return self._jobs.theirs(id), self._leases.theirs(lease)

    def _our_lease(self, id: int, lease: int) -> Lease:
        return self._jobs.ours(id), self._leases.ours(lease)

    def _by_lease(self, told: Mapping[Lease, T]) -> dict[Lease, T]:
        return {self._our_lease(*pair): answer for pair, answer in told.items()}


def canonical(text: str | None) -> str | None:
    """Return JSON text in one canonical form."""
    return text and as_text(msgspec.json.decode(text))


def _profile(now: datetime) -> dict[str, Any]:
    return {"name": "test", "host": "here", "pid": 7, "queues": ["default"], "started_at": now}
