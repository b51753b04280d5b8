"""What a viewer of some queues sees: nothing that names or counts what is in the others."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable
from typing import Final, TypeVar

import msgspec

from pgqueue.dashboard.access import Access
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import Job
from pgqueue.operations import Plan
from pgqueue.operations.browsing import LOOK, BriefJob, Browsed, Mark, Order, browse
from pgqueue.operations.inspections import Situation

STATEMENT: Final = 1_500
"""So many jobs one statement looks at: each may lie in a block of its own, be it large or in an
order in which it was not written."""
PORTIONS: Final = 14
"""So many statements a page is made of, where many jobs are looked at for a few."""
PATIENCE: Final = 1.0
"""After so many seconds a page is made of what was found: in two, it would be given up."""
_BLAME: Final = re.compile(r"^parent \d+ ")
AnyJob = TypeVar("AnyJob", Job, BriefJob)


def seen(access: Access, found: Iterable[AnyJob]) -> list[AnyJob]:
    """Return the jobs of queues that the viewer sees."""
    return [unblamed(access, job) for job in found if access.sees(job.queue)]


def unblamed(access: Access, job: AnyJob, known: Collection[int] = ()) -> AnyJob:
    """Return *job* without the number of the parent whose end has ended it, unless it is *known*
    that the viewer sees that one."""
    found = _BLAME.match(job.reason or "")
    if access.sees_all or found is None or int(found[0].split()[1]) in known:
        return job
    fields = {"reason": _BLAME.sub("a parent ", job.reason or "")}
    nobody = {"cause": None} if "cause" in job.__struct_fields__ else {}
    return msgspec.structs.replace(job, **fields, **nobody)


def situation_of(access: Access, situation: Situation, known: Collection[int]) -> Situation:
    """Return *situation* with those parents alone that are *known* to be seen."""
    if access.sees_all:
        return situation
    return msgspec.structs.replace(
        situation,
        job=unblamed(access, situation.job, known),
        parents=[parent for parent in situation.parents if parent.id in known],
    )


def narrowed(access: Access, filter: Filter) -> Filter | None:
    """Return *filter* for the one queue that the viewer sees, if it is one; None if the filter
    means a queue that the viewer does not see."""
    if filter.queue is None:
        return msgspec.structs.replace(filter, queue=access.only_queue)
    return filter if access.sees(filter.queue) else None


def browsed(
    access: Access,
    filter: Filter,
    *,
    limit: int,
    order: Order = "newest",
    after: Mark | None = None,
    look: int = LOOK,
) -> Plan[Browsed]:
    """List jobs as `browse` does, those that the viewer sees, by up to `PORTIONS` statements.

    They look at *look* jobs at the most, in all, or as far as they come in a second. There may be
    fewer jobs than *limit*, and a rest. Of the jobs looked at, a viewer of some queues is told the
    number of those that they see: the others are not theirs to count.
    """
    meant = narrowed(access, filter)
    if meant is None:
        return Browsed([], 0, None)
    jobs: list[BriefJob] = []
    looked, began = 0, time.monotonic()
    for _ in range(PORTIONS):
        more, portion = limit - len(jobs), min(STATEMENT, look - looked)
        page: Browsed = yield browse(meant, order=order, after=after, limit=more, look=portion)
        jobs += seen(access, page.jobs)
        looked, after = looked + page.looked, page.rest
        if after is None or len(jobs) == limit or looked >= look:
            break
        if time.monotonic() - began > PATIENCE:
            break
    return Browsed(jobs, looked if access.sees_all else len(jobs), after)
