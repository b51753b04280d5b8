"""A store under test: every verb of the port as one short method, in a time that the test gives."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal, TypeVar

import msgspec
import pytest

from pgqueue import operations
from pgqueue.backends.base import Backend, Session
from pgqueue.backends.plans import carry_out
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.graphs import Graph, Workflow, gather
from pgqueue.jobs.job import Handle, Job, NewJob, State
from pgqueue.jobs.limits import Limits, checked_limits
from pgqueue.jobs.retention import Retention
from pgqueue.jobs.schedules.rows import ScheduleRow
from pgqueue.operations import (
    ClaimedInTurn,
    ClaimedJob,
    Completed,
    Expired,
    Failed,
    Floor,
    Held,
    Leadership,
    Lower,
    Membership,
    Operation,
    Place,
    Plan,
    ProgressReport,
    Promoted,
    Released,
    Rescue,
    ScheduleWrite,
    Sweep,
    inspections,
)
from pgqueue.operations.acting import Act, Which, whole

T = TypeVar("T")
Id = int | Handle[Any] | Job | ClaimedJob

needs = pytest.mark.needs
NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
PROFILE = {
    "name": "test",
    "host": "here",
    "pid": 7,
    "queues": ["default"],
    "started_at": NOON,
    "info": {"version": "1"},
}


def a_job(task: str = "task", **options: Any) -> NewJob[Any]:
    """Return a job to enqueue."""
    return NewJob(task, **options)


class Store:
    """A backend, a worker that is present in it, and a clock that only the test moves."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.now: datetime | None = NOON
        self.keep: frozenset[State] = operations.EVERYTHING
        self._leases: dict[int, count[int]] = {}
        self.worker = self.join().worker

    def passes(self, **time: float) -> None:
        """Let time pass: ``store.passes(minutes=5)``."""
        assert self.now is not None
        self.now += timedelta(**time)

    def do(self, operation: Operation[T]) -> T:
        return self.backend.execute(operation)

    def carry(self, plan: Plan[T]) -> T:
        with self.backend.transaction() as executor:
            return carry_out(plan, executor.execute)

    # Changing

    def enqueue(self, *jobs: NewJob[Any] | Graph[Any] | Workflow) -> list[Handle[Any]]:
        batch = gather(jobs)
        return self.carry(operations.enqueue(batch.jobs, workflow=batch.workflow, now=self.now))

    def add(self, job: NewJob[Any] | None = None) -> int:
        """Enqueue one job, and return its id."""
        return self.enqueue(job or a_job())[0].id

    def claim(
        self,
        limit: int = 100,
        *,
        queue: str = "default",
        by: int | None = None,
        floors: Sequence[Floor] = (),
        lower: Lower | None = None,
    ) -> list[ClaimedJob]:
        worker = by or self.worker
        lease = next(self._leases[worker])
        return self.do(
            operations.claim(
                *(queue, worker, lease, limit), floors=floors, lower=lower, now=self.now
            )
        )

    def turn(
        self,
        limit: int = 100,
        *,
        queue: str = "default",
        by: int | None = None,
        steps: int = 1_000,
        **options: Any,
    ) -> ClaimedInTurn:
        """What a claim in turn takes, with *after*, *quantum*, *counting*."""
        worker = by or self.worker
        where = (queue, worker, next(self._leases[worker]), limit)
        return self.do(operations.claim_in_turn(*where, steps=steps, now=self.now, **options))

    def limit(self, queue: str = "default", **fields: Any) -> Limits | None:
        """Set what *queue* allows from now on, and return all of its limits."""
        limits = checked_limits(queue, Limits(**fields))
        return self.do(operations.limit(queue, limits.fields(), reset=True))

    def take(self, *, queue: str = "default", by: int | None = None) -> ClaimedJob:
        """Claim the next job; there must be one."""
        [job] = self.claim(1, queue=queue, by=by)
        return job

    def running(self, job: NewJob[Any] | None = None, *, by: int | None = None) -> ClaimedJob:
        """Enqueue a job, claim it, and return it; no other may be before it."""
        id = self.add(job)
        taken = self.take(queue=job.queue if job else "default", by=by)
        assert taken.id == id
        return taken

    def bring(self, state: str, job: NewJob[Any] | None = None) -> int:
        """Bring a job to *state*, and return its id; no other may be before it."""
        job = job or a_job()
        if state == "blocked":
            job = job.after(self.add(a_job("parent", queue="parents")))
        if state == "scheduled":
            job = job.options(delay=timedelta(hours=1))
        if state in ("available", "blocked", "scheduled"):
            return self.add(job)
        taken = self.running(job)
        if state == "completed":
            self.complete(taken)
        elif state == "cancelled":
            self.fail(taken, verdict="cancel")
        elif state == "discarded":
            self.discard(taken)
        elif state == "retryable":
            self.fail(taken, retry_in=timedelta(hours=1))
        assert self.state(taken) == state
        return taken.id

    def complete(self, *jobs: ClaimedJob, result: str | None = None) -> set[int]:
        """Complete *jobs*, and return the ids of those that are completed under their lease."""
        done = [Completed(job.id, job.lease, result) for job in jobs]
        told = self.do(operations.complete(done, keep=self.keep, now=self.now))
        return {id for id, _ in told}

    def work(self, *, queue: str = "default") -> list[str]:
        """Run all that is available, and what that makes available; return the tasks in their
        order."""
        tasks = []
        while jobs := self.claim(queue=queue):
            assert self.complete(*jobs) == {job.id for job in jobs}
            tasks += [job.task for job in jobs]
        return tasks

    def fail(
        self,
        *jobs: ClaimedJob,
        verdict: Literal["retry", "discard", "cancel", "expire"] = "retry",
        retry_in: timedelta | None = None,
        reason: str | None = None,
        error: str | None = None,
    ) -> dict[int, State]:
        failed = [Failed(job.id, job.lease, verdict, retry_in, reason, error) for job in jobs]
        return _by_id(self.do(operations.fail(failed, keep=self.keep, now=self.now)))

    def discard(self, *jobs: ClaimedJob) -> None:
        told = self.fail(*jobs, verdict="discard")
        assert told == {job.id: State.DISCARDED for job in jobs}

    def release(
        self,
        *jobs: ClaimedJob,
        delay: timedelta | None = None,
        unknown: bool = False,
        unstarted: bool = False,
    ) -> dict[int, State]:
        released = [Released(job.id, job.lease, delay, unknown, unstarted) for job in jobs]
        return _by_id(self.do(operations.release(released, keep=self.keep, now=self.now)))

    def free(self, id: int) -> None:
        """Release a running job, whichever worker has it."""
        lease = self.job(id).lease
        assert lease
        assert self.do(operations.release([Released(id, lease)], now=self.now))

    def progress(self, *jobs: ClaimedJob, progress: str) -> set[int]:
        reports = [ProgressReport(job.id, job.lease, progress) for job in jobs]
        return {id for id, _ in self.do(operations.progress(reports))}

    def heartbeat(self, *jobs: ClaimedJob, by: int | None = None) -> dict[int, Held]:
        leases = [(job.id, job.lease) for job in jobs]
        beat = operations.heartbeat(by or self.worker, leases, PROFILE, now=self.now)
        return {id: held for (id, _), held in self.do(beat).items()}

    def has_session(self, worker: int) -> None:
        """Have *worker* report that it lives and that its session shows it."""
        self.do(operations.heartbeat(worker, [], PROFILE, session=True, now=self.now))

    def join(self, **profile: Any) -> Membership:
        member = self.do(operations.join(PROFILE | profile, now=self.now))
        self._leases[member.worker] = count(member.lease)
        return member

    def leave(self, worker: int) -> None:
        self.do(operations.leave(worker))

    def cancel(
        self,
        *ids: Id,
        workflow: int | None = None,
        states: Collection[State] | None = None,
        reason: str | None = None,
    ) -> dict[int, State]:
        cancel = operations.cancel(
            _ids(ids),
            workflow=workflow,
            states=states,
            reason=reason,
            keep=self.keep,
            now=self.now,
        )
        return self.do(cancel)

    def retry(self, *ids: Id, workflow: int | None = None) -> dict[int, str]:
        retry = operations.retry(_ids(ids), workflow=workflow, keep=self.keep, now=self.now)
        return self.do(retry)

    def move(
        self, *ids: Id, queue: str | None = None, priority: int | None = None
    ) -> dict[int, State]:
        return self.do(operations.move(_ids(ids), queue=queue, priority=priority))

    def purge(self, *ids: Id) -> dict[int, str]:
        return self.do(operations.purge(_ids(ids)))

    def choose(self, *, newest: bool = False, limit: int = 1_000, **filter: Any) -> list[int]:
        """Return the ids of all that a filter matches, in the order in which they are chosen."""
        found: list[int] = []
        place: Place | None = Place()
        while place is not None:
            chosen = self.do(
                operations.choose(
                    Filter(**filter), newest=newest, place=place, limit=limit, now=self.now
                )
            )
            found += [job.id for job in chosen.jobs]
            place = chosen.rest
        return found

    def act(self, act: Act, which: Which) -> dict[int, str]:
        """Do *act* to all that *which* matches, each portion in a transaction of its own."""
        return carry_out(whole(act, which, now=self.now), self.do).answers

    def pause(self, queue: str = "default") -> None:
        self.do(operations.pause(queue, now=self.now))

    def resume(self, queue: str = "default") -> None:
        self.do(operations.resume(queue))

    def promote(self, limit: int = 1_000) -> Promoted:
        return self.do(operations.promote(limit, now=self.now))

    def rescue(self, **patience: Any) -> Rescue:
        return self.do(operations.rescue(**patience, keep=self.keep, now=self.now))

    def expire(self, limit: int = 1_000, *, skip: int = 0) -> Expired:
        return self.do(operations.expire(limit, skip=skip, keep=self.keep, now=self.now))

    def prune(self, retention: Retention) -> tuple[int, int]:
        return carry_out(operations.tidy(retention, now=self.now), self.do)

    def sweep(self, limit: int = 1_000) -> Sweep:
        return self.do(operations.sweep(limit, keep=self.keep, now=self.now))

    def elect(self, worker: int, *, name: str = "leader", term: float = 30) -> Leadership:
        return self.do(operations.elect(name, worker, timedelta(seconds=term), now=self.now))

    def resign(self, worker: int, *, name: str = "leader") -> None:
        self.do(operations.resign(name, worker))

    def schedule(self, *writes: ScheduleWrite) -> set[str]:
        """Write schedules, and return the names of those that were written."""
        return self.do(operations.schedule(writes, now=self.now))

    def schedules(self, *names: str, **filters: Any) -> list[ScheduleRow]:
        """Return these schedules, or all; each of them must be readable."""
        found = self.do(operations.schedules(names or None, **filters, now=self.now))
        assert not found.unreadable
        return found.rows

    def one_schedule(self, name: str) -> ScheduleRow:
        [row] = self.schedules(name)
        return row

    def fire(self, limit: int = 500) -> operations.Fired:
        """Do once what a leader does with all that is due."""
        due = self.do(operations.due(limit, now=self.now))
        moves = [operations.to_fire(row, due.now) for row in due.rows]
        moves += [operations.to_fire(row, due.now) for row in due.unreadable]
        return self.carry(operations.fire(moves, keep=self.keep, now=self.now))

    def firings(self, name: str, **filters: Any) -> list[operations.Firing]:
        return self.do(operations.firings(name, **filters))

    # Reading

    def jobs(self, *ids: Id) -> list[Job]:
        """Return jobs by id, in this order; all must be there."""
        found = self.do(inspections.get(_ids(ids)))
        return [found[id] for id in _ids(ids)]

    def job(self, id: Id) -> Job:
        return self.jobs(id)[0]

    def state(self, id: Id) -> State:
        return self.job(id).state

    def states(self, *ids: Id) -> list[str]:
        return [str(job.state) for job in self.jobs(*ids)]

    def missing(self, *ids: Id) -> bool:
        """Is none of these jobs there?"""
        return not self.do(inspections.get(_ids(ids)))

    def listing(self, **filters: Any) -> list[Job]:
        return self.do(inspections.list_jobs(**filters))

    def workers(self) -> dict[int, inspections.WorkerInfo]:
        return {worker.id: worker for worker in self.do(inspections.workers())}

    def outcomes(self, *ids: Id) -> dict[tuple[int, int], State | None]:
        """Return how the parents of *ids* ended, by (child, parent)."""
        edges = self.do(inspections.parents(_ids(ids)))
        return {(edge.child, edge.parent): edge.outcome for edge in edges}

    def check(self) -> None:
        """Check that nothing is left for a sweep to repair, and that every counter is right."""
        self.now = max(self.now or NOON, NOON) + timedelta(days=1)
        assert self.sweep() == Sweep(0, 0)
        blocked = self.listing(state=State.BLOCKED, limit=10_000)
        undecided = [child for (child, _), ended in self.outcomes(*blocked).items() if not ended]
        for job in blocked:
            assert job.blocked_by == undecided.count(job.id), f"{job} has lost count"


def _ids(ids: Iterable[Id]) -> list[int]:
    return [id if isinstance(id, int) else id.id for id in ids]


def _by_id(states: dict[tuple[int, int], State]) -> dict[int, State]:
    return {id: state for (id, _), state in states.items()}


def read(text: str | None) -> Any:
    """Return the value of a JSON text: each store has its own spacing."""
    return None if text is None else msgspec.json.decode(text)


def ids(jobs: Collection[ClaimedJob]) -> list[int]:
    """Return the jobs' ids, in the order in which they were claimed."""
    return [job.id for job in jobs]


@asynccontextmanager
async def a_session(store: Store, worker: int) -> AsyncIterator[Session]:
    """Open a session that shows that *worker* lives."""
    session = store.backend.session(lambda topic: None, lambda: None)
    await session.open()
    try:
        assert await session.present(worker)
        store.has_session(worker)
        yield session
    finally:
        await session.close()


def until(condition: Callable[[], object], *, within: float = 10) -> None:
    """Wait until *condition* holds: a store takes a moment to notice that a session ended."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)
