"""What people are shown of the model: how a job ended, why it waits, its graph, pages of jobs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import asdict, replace

from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import Job, State
from pgqueue.jobs.limits import Rate
from pgqueue.operations import browsing
from pgqueue.operations.browsing import BriefJob
from pgqueue.operations.inspections import GraphView, JobEnd, Server, Situation, WaitedFor
from pgqueue.operations.limiting import Bounds
from pgqueue.testing.model import LATER
from pgqueue.testing.model_inspections import as_text
from pgqueue.testing.model_limits import AHEAD
from pgqueue.testing.model_schedules import ScheduledModel

SHOWN: Final = dict.fromkeys(("result", "metadata", "progress"))
SERVED: Final = "default"  # the one queue that workers say they serve
NAME: Final = "test"


class ViewedModel(ScheduledModel):
    """The queue, with the verbs that only show it."""

    def ends(self, ids: Iterable[int]) -> dict[int, JobEnd]:
        """Return what `result` says of each."""
        found = (self.jobs[id] for id in ids if id in self.jobs)
        return {
            job.id: JobEnd(
                job.task,
                job.state,
                None if job.result is None else as_text(job.result),
                job.reason,
                as_text(job.errors[-1]) if job.errors else None,
            )
            for job in found
        }

    def graph(self, workflow: int | None, job: int | None) -> GraphView:
        found = {id for id, each in self.jobs.items() if workflow in (None, each.workflow)}
        jobs = [self._shown(id) for id in sorted(found)]
        return connected(GraphView(jobs, list(self.edges.values()), False), job)

    def why(self, id: int, *, now: datetime) -> Situation | None:
        if id not in self.jobs:
            return None
        job = self.jobs[id]
        above = [
            self.jobs[link.parent]
            for _, link in sorted(self.edges.items())
            if link.child == id and link.outcome is None
        ]
        above.sort(key=lambda parent: parent.state != State.RUNNING)
        there = sorted(self.busy.get(worker, 0) for worker in self.workers)
        owned = job.state == State.RUNNING and job.worker in self.workers
        return Situation(
            now=now,
            job=self._shown(id),
            parents=[self._waited_for(parent, job) for parent in above[:5]],
            paused_at=self.paused.get(job.queue),
            workers=[Server(name=NAME, running=n) for n in there if job.queue == SERVED],
            worker={"id": job.worker} if owned else None,
            led=any(until > now for _, until in self.leaders.values()),
            ahead=sum(
                (each.priority, each.position or 0) < (job.priority, job.position or 0)
                for each in self._beside(job)
            ),
            bounds=self._bounds(job, now),
        )

    def browse(self, filter: Filter, order: browsing.Order, *, now: datetime) -> list[BriefJob]:
        """Return all pages."""
        jobs = [job for _, job in sorted(self.jobs.items()) if self._is_meant(job, filter, now)]
        match order:
            case "newest":
                jobs.reverse()
            case "due":
                jobs = [job for job in jobs if job.state in LATER]
                jobs.sort(key=lambda job: (job.run_at, job.id))
            case "next":
                jobs = [job for job in jobs if job.state == State.AVAILABLE]
                jobs.sort(key=lambda job: (job.priority, job.position or 0))
        return [self._brief(job) for job in jobs]

    def _shown(self, id: int) -> Job:
        """Without what may be large."""
        return replace(self.get([id])[id], args={}, **SHOWN)

    def _waited_for(self, parent: Job, child: Job) -> WaitedFor:
        runs = parent.state == State.RUNNING and parent.worker in self.workers
        return WaitedFor(
            id=parent.id,
            task=parent.task,
            state=parent.state,
            run_at=parent.run_at,
            claimed_at=parent.claimed_at,
            worker=NAME if runs else None,
            same_key=child.unique_key is not None and child.unique_key == parent.unique_key,
        )

    def _beside(self, job: Job) -> list[Job]:
        """Return the jobs that wait in line with it."""
        place = (State.AVAILABLE, job.queue, job.key)
        return [
            each
            for each in self.jobs.values()
            if (each.state, each.queue, each.key) == place and job.state == State.AVAILABLE
        ]

    def _bounds(self, job: Job, now: datetime) -> Bounds | None:
        limits = self.limits.get(job.queue)
        if limits is None or job.state != State.AVAILABLE:
            return None
        bounds = Bounds(
            limits=limits.fields(),
            running=self._permitted(job.queue),
            free_at=self._free_at(job.queue, "", limits.rate, now),
        )
        if limits.ordered and (holder := self._holder_of(job.queue, job.key or "")):
            bounds = replace(bounds, holder=holder.id, holder_state=holder.state)
        if job.key is None:
            return bounds
        own = self.key_limits.get((job.queue, job.key))
        return replace(
            bounds,
            own=own.fields() if own else {},
            key_running=self._permitted(job.queue, job.key),
            key_free_at=self._free_at(job.queue, job.key, self._rate_of(job.queue, job.key), now),
        )

    def _free_at(self, queue: str, key: str, rate: Rate | None, now: datetime) -> datetime | None:
        """Return when an attempt may begin again; None: it may now."""
        if rate is None:
            return None
        per = timedelta(seconds=rate.per)
        starts = [
            at for at, _, _ in self.starts.get((queue, key), ()) if now - per <= at <= now + AHEAD
        ]
        return sorted(starts)[-rate.count] + per if len(starts) >= rate.count else None

    def _brief(self, job: Job) -> BriefJob:
        known = asdict(self.get([job.id])[job.id])
        brief = {name: known[name] for name in BriefJob.__struct_fields__ if name in known}
        last = job.errors[-1] if job.errors else None
        return BriefJob(
            **brief
            | {"args": as_text(job.args)}
            | (
                {"error_type": last.type, "error_message": last.message, "error_at": last.at}
                if last
                else {}
            ),
        )


def connected(view: GraphView, job: int | None) -> GraphView:
    """Return the part of *view* that every store shows.

    That is the edges between jobs that are there; in the graph of *job* also no more than what
    these connect with it, as a job that is gone connects others in some stores and not in all.
    """
    found = {each.id for each in view.jobs}
    links = [link for link in view.edges if {link.parent, link.child} <= found]
    near = found if job is None else {job} & found
    while more := {
        id
        for link in links
        for id in (link.parent, link.child)
        if {link.parent, link.child} & near and id not in near
    }:
        near |= more
    links = sorted((link for link in links if link.child in near), key=lambda link: link[1::-1])
    return GraphView([each for each in view.jobs if each.id in near], links, view.cut)
