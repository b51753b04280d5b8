"""The model's jobs and the edges between them: how a job ends, and what happens to its children."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import count
from typing import Any, Final

from msgspec.structs import replace

from pgqueue.jobs.job import FINISHED, Job, JobError, State
from pgqueue.operations.inspections import Link

ERRORS: Final = 10
FAILED: Final = FINISHED - {State.COMPLETED}


class Graph:
    """Every job by its id, and every edge by (child, parent)."""

    def __init__(self, keep: frozenset[State]) -> None:
        self.keep = keep
        self.jobs: dict[int, Job] = {}
        self.edges: dict[tuple[int, int], Link] = {}
        self._positions = count(1)

    # One job

    def _change(self, job: Job, **changes: Any) -> Job:
        changed = self.jobs[job.id] = replace(job, **changes)
        return changed

    def _free(self, job: Job, **changes: Any) -> None:
        """Make the job available, the last of its priority."""
        self._change(job, state=State.AVAILABLE, position=next(self._positions), **changes)

    def _blame(self, job: Job, now: datetime, *, rescues: int = 0, **error: Any) -> Job:
        """Note why the job's last attempt failed; *rescues* are added to the job's."""
        failed = JobError(attempt=job.attempt, at=now, worker=job.worker, **error)
        errors = (*job.errors, failed)[-ERRORS:]
        return self._change(job, errors=errors, rescues=job.rescues + rescues)

    def _end(
        self, job: Job, state: State, now: datetime, *, kept: bool | None = None, **changes: Any
    ) -> None:
        if state in self.keep if kept is None else kept:
            forgotten = {"cancel_requested": False, "expires_at": None, "keep": True}
            self._change(job, state=state, finished_at=now, **forgotten, **changes)
        else:
            del self.jobs[job.id]

    def _unfinished(self, ids: Iterable[int]) -> list[Job]:
        found = (self.jobs[id] for id in sorted(ids) if id in self.jobs)
        return [job for job in found if not job.finished]

    def _running(self) -> list[Job]:
        return [job for _, job in sorted(self.jobs.items()) if job.state == State.RUNNING]

    def _held(self, id: int, lease: int) -> Job | None:
        """Return the job, if it still runs under *lease*."""
        job = self.jobs.get(id)
        return job if job and job.state == State.RUNNING and job.lease == lease else None

    # Its children

    def _settle(
        self, finished: Mapping[int, State], now: datetime, *, kept: bool | None = None
    ) -> list[str]:
        """Tell the children of the *finished* jobs, then theirs, a generation at a time.

        Returns the queues that have new work. An edge is decided once. A child whose last edge was
        decided is free; one that a failed parent has spoiled is cancelled, because of the first
        such parent.
        """
        freed: set[str] = set()
        while finished:
            decided = [
                link
                for link in self.edges.values()
                if link.parent in finished and link.outcome is None
            ]
            spoiled: dict[int, int] = {}
            for link in decided:
                outcome = finished[link.parent]
                self.edges[link.child, link.parent] = link._replace(outcome=outcome)
                if outcome in FAILED and link.on_failure == "cancel":
                    first = spoiled.setdefault(link.child, link.parent)
                    spoiled[link.child] = min(first, link.parent)
            ended: dict[int, State] = {}
            for job in self._unfinished({link.child for link in decided}):
                if parent := spoiled.get(job.id):
                    ended[job.id] = State.CANCELLED
                    because = f"parent {parent} was {finished[parent]}"
                    self._end(job, State.CANCELLED, now, kept=kept, reason=because, cause=parent)
                elif self.waits(job.id):
                    continue
                elif job.run_at > now:
                    self._change(job, state=State.SCHEDULED)
                else:
                    self._free(job, run_at=now)
                    freed.add(job.queue)
            finished = ended
        return sorted(freed)

    def waits(self, id: int) -> int:
        """Return for how many parents the job waits."""
        return sum(link.child == id and link.outcome is None for link in self.edges.values())

    def _wanted(self) -> set[int]:
        """Return the parents whose results a child that has not finished may still read."""
        unfinished = {job.id for job in self._unfinished(self.jobs)}
        return {parent for child, parent in self.edges if child in unfinished}

    def _graft(self, job: int, ids: list[int]) -> None:
        for link in list(self.edges.values()):
            if link.parent == job and link.outcome is None:
                for id in ids:
                    self.edges[link.child, id] = Link(id, link.child, link.on_failure, None, None)

    # And back

    def _revive(self, back: set[int], now: datetime) -> None:
        """Have the jobs wait again, if only for a moment, for the parents that have not
        finished."""
        for id in back:
            job = self.jobs[id]
            self._change(
                job,
                state=State.BLOCKED,
                max_attempts=max(job.max_attempts, job.attempt + 1),
                rescues=0,
                run_at=now,
                claimed_at=None,
                finished_at=None,
                worker=None,
                lease=None,
                reason=None,
                result=None,
                cause=None,
            )
        for link in list(self.edges.values()):
            if link.child in back and link.outcome and self._unfinished([link.parent]):
                self.edges[link.child, link.parent] = link._replace(outcome=None)

    def _coming_back(self, asked: set[int], revived: set[int]) -> set[int]:
        """Return those of *asked* that have finished, and the descendants cancelled because of
        them.

        Not a job whose unique key belongs to another job by now, and not a descendant with another
        parent that failed and does not come back: that parent becomes its cause.
        """
        taken = {job.unique_key for job in self._unfinished(self.jobs) if job.unique_key}
        free = {id for id, job in self.jobs.items() if job.finished and job.unique_key not in taken}
        reached = {id for id in asked | revived if id in free or not self.jobs[id].finished}
        while more := {
            link.child
            for link in self.edges.values()
            if link.parent in reached
            and link.child in free - reached
            and self.jobs[link.child].cause == link.parent
        }:
            reached |= more
        wanted = reached & free
        back: set[int] = set()
        keys: set[str] = set()
        for id in sorted(wanted, key=lambda id: (id not in asked, id)):
            if (key := self.jobs[id].unique_key) not in keys:
                back.add(id)
            if key:
                keys.add(key)
        spoiled: set[int] = set()
        while more := {link.child for link in self._spoiling(back)} & (wanted - asked - spoiled):
            spoiled |= more
            back -= more
        for id in spoiled:
            job = self.jobs[id]
            if job.cause in back:
                link = min(link for link in self._spoiling(back) if link.child == id)
                because = f"parent {link.parent} was {link.outcome}"
                self._change(job, cause=link.parent, reason=because)
        return back

    def _spoiling(self, back: set[int]) -> list[Link]:
        """Return the edges by which a failed parent cancels its child, once the jobs *back* wait
        again."""
        finished = {id for id, job in self.jobs.items() if job.finished and id not in back}
        return [
            link
            for link in self.edges.values()
            if link.on_failure == "cancel"
            and link.outcome in FAILED
            and (link.parent in finished or link.parent not in self.jobs)
        ]
