"""What can be read of the model, in the form in which `pgqueue.testing.renumbered` reads a
store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from pgqueue.jobs.filters import Filter
from pgqueue.jobs.graphs import Workflow
from pgqueue.jobs.job import Job, State
from pgqueue.operations import ClaimedJob
from pgqueue.operations.inspections import ParentResult
from pgqueue.testing.model_graph import Graph


class Inspections(Graph):
    """The verbs that only read."""

    def __init__(self, keep: frozenset[State]) -> None:
        super().__init__(keep)
        self.workflows: dict[int, Workflow] = {}
        self.workers: dict[int, datetime] = {}
        self.paused: dict[str, datetime] = {}
        self.due: dict[int, datetime] = {}  # of tasks that no worker knew: when each was due first

    def get(self, ids: Iterable[int]) -> dict[int, Job]:
        return {
            id: replace(
                job,
                position=None,
                blocked_by=0 if job.finished else self.waits(id),
                due_at=job.run_at if job.finished else self.due.get(id, job.run_at),
            )
            for id in ids
            if (job := self.jobs.get(id))
        }

    def choose(self, filter: Filter, newest: bool, *, now: datetime) -> list[tuple[int, State]]:
        """Return everything that *filter* matches, in the order in which it is chosen."""
        ids = sorted(self.jobs, reverse=newest)
        jobs = [job for job in map(self.jobs.__getitem__, ids) if self._is_meant(job, filter, now)]
        return [(job.id, job.state) for job in jobs]

    def _is_meant(self, job: Job, filter: Filter, now: datetime) -> bool:
        since = job.finished_at or job.enqueued_at
        return (
            (not filter.states or job.state in filter.states)
            and filter.queue in (None, job.queue)
            and filter.task in (None, job.task)
            and (filter.tag is None or filter.tag in job.tags)
            and filter.key in (None, job.key)
            and filter.workflow in (None, job.workflow)
            and (filter.error is None or [e.type for e in job.errors[-1:]] == [filter.error])
            and contains(job.args, filter.contained)
            and (filter.older_than is None or since <= now - filter.older_than)  # type: ignore[operator]  # a timedelta by now
            and (filter.newer_than is None or since > now - filter.newer_than)  # type: ignore[operator]  # a timedelta by now
            and (
                filter.running_longer_than is None
                or (
                    job.state == State.RUNNING
                    and job.claimed_at is not None
                    and job.claimed_at <= now - filter.running_longer_than  # type: ignore[operator]  # a timedelta by now
                )
            )
        )

    def parents(self, ids: Iterable[int]) -> list[ParentResult]:
        children = set(ids)
        outcomes = []
        for _, link in sorted(self.edges.items()):
            if link.child in children:
                parent = self.jobs.get(link.parent)
                task, result = (
                    (parent.task, parent.result) if parent and parent.finished else (None, None)
                )
                text = None if result is None else as_text(result)
                outcomes.append(
                    ParentResult(
                        link.child,
                        link.parent,
                        link.name,
                        link.outcome,
                        task,
                        text,
                        link.on_failure,
                    )
                )
        return outcomes

    def listing(self) -> list[Job]:
        return list(reversed(self.get(sorted(self.jobs)).values()))

    def present(self) -> dict[int, datetime]:
        return self.workers

    def pauses(self) -> dict[str, datetime]:
        return self.paused

    def counts(self, *, now: datetime) -> dict[tuple[str, State], tuple[int, float]]:
        alike: dict[tuple[str, State], list[datetime]] = {}
        for job in self._unfinished(self.jobs):
            due = self.due.get(job.id, job.run_at)
            alike.setdefault((job.queue, job.state), []).append(due)
        return {
            key: (len(due), round((now - min(due)).total_seconds(), 3))
            for key, due in alike.items()
        }

    def flows(self) -> dict[int, tuple[str, tuple[str, ...], Mapping[State, int]]]:
        states: dict[int, Counter[State]] = {}
        for job in self.jobs.values():
            if job.workflow:
                states.setdefault(job.workflow, Counter())[job.state] += 1
        flows = self.workflows
        return {id: (flows[id].name, flows[id].tags, found) for id, found in states.items()}


def contains(whole: Any, part: Any) -> bool:
    """Does the JSON value *whole* have all that *part* has, in nested objects too?"""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and contains(whole[name], value) for name, value in part.items()
        )
    return bool(whole == part) and isinstance(whole, bool) == isinstance(part, bool)


def in_hands(job: Job) -> ClaimedJob:
    """Return *job* as its worker gets it."""
    assert job.lease
    assert job.claimed_at
    expires_in = (job.expires_at - job.claimed_at).total_seconds() if job.expires_at else None
    return ClaimedJob(
        id=job.id,
        priority=job.priority,
        position=0,
        attempt=job.attempt,
        task=job.task,
        args=as_text(job.args),
        max_attempts=job.max_attempts,
        timeout_seconds=job.timeout_seconds,
        run_at=job.run_at.timestamp(),
        rescues=job.rescues,
        progress=as_text(job.progress) if job.progress else None,
        metadata=as_text(job.metadata) if job.metadata else None,
        tags=list(job.tags) or None,
        workflow=job.workflow,
        queue=job.queue,
        key=job.key or "",
        expires_in=expires_in,
        lease=job.lease,
    )


def as_text(value: Any) -> str:
    """Return *value* as JSON, in one canonical form."""
    return msgspec.json.encode(value, order="sorted").decode()
