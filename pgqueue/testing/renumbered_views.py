"""What people are shown of a store that plays the model's history, in the model's numbers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby

import msgspec
from msgspec.structs import replace

from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import JobError
from pgqueue.operations import browsing, inspections
from pgqueue.operations.browsing import BriefJob
from pgqueue.operations.inspections import GraphView, JobEnd, Situation
from pgqueue.testing.model_inspections import as_text
from pgqueue.testing.model_views import connected
from pgqueue.testing.renumbered import canonical
from pgqueue.testing.renumbered_schedules import ScheduledStore

PAGE, LOOK = 3, 4  # so small that many a page goes on where the one before has stopped


class ViewedStore(ScheduledStore):
    """One store, with the verbs of the model that only show it, too."""

    def ends(self, ids: Iterable[int]) -> dict[int, JobEnd]:
        """Return what `result` says of each."""
        found = ((id, self._do(inspections.result(self._jobs.theirs(id)))) for id in ids)
        return {
            id: end._replace(
                result=canonical(end.result),
                reason=end.reason and self._text(end.reason),
                error=end.error
                and as_text(self._error(msgspec.json.decode(end.error, type=JobError))),
            )
            for id, end in found
            if end is not None
        }

    def graph(self, workflow: int | None, job: int | None) -> GraphView:
        found = self._do(
            inspections.graph(
                workflow=workflow and self._workflows.theirs(workflow),
                job=job and self._jobs.theirs(job),
            )
        )
        jobs = sorted(map(self._job, found.jobs), key=lambda job: job.id)
        ours = self._jobs.ours
        links = [
            edge._replace(parent=ours(edge.parent), child=ours(edge.child)) for edge in found.edges
        ]
        return connected(GraphView(jobs, links, found.cut), job)

    def why(self, id: int, *, now: datetime) -> Situation | None:
        found = self._do(inspections.why(self._jobs.theirs(id), now=now))
        if found is None:
            return None
        ours = self._jobs.ours
        bounds = found.bounds
        return replace(
            found,
            job=self._job(found.job),
            parents=[
                replace(parent, id=ours(parent.id), same_key=bool(parent.same_key))
                for parent in found.parents
            ],
            workers=sorted(
                (replace(server, info={}) for server in found.workers),
                key=lambda server: server.running,
            ),
            worker=found.worker and {"id": self._workers.ours(found.worker["id"])},
            bounds=bounds and replace(bounds, holder=bounds.holder and ours(bounds.holder)),
        )

    def browse(self, filter: Filter, order: browsing.Order, *, now: datetime) -> list[BriefJob]:
        """Return all pages. The order of jobs that are due at one instant is a store's own."""
        if filter.workflow:
            filter = replace(filter, workflow=self._workflows.theirs(filter.workflow))
        jobs: list[BriefJob] = []
        page, after = None, None
        while page is None or after is not None:
            page = self._do(
                browsing.browse(filter, order=order, after=after, limit=PAGE, look=LOOK, now=now)
            )
            jobs += map(self._brief, page.jobs)
            after = page.rest
        if order == "due":
            at_once = groupby(jobs, key=lambda job: job.run_at)
            return [job for _, same in at_once for job in sorted(same, key=lambda job: job.id)]
        return jobs

    def _brief(self, job: BriefJob) -> BriefJob:
        return replace(
            job,
            id=self._jobs.ours(job.id),
            position=None,
            worker=job.worker and self._workers.ours(job.worker),
            workflow=job.workflow and self._workflows.ours(job.workflow),
            reason=job.reason and self._text(job.reason),
            error_message=job.error_message and self._text(job.error_message),
            args=canonical(job.args),
        )
