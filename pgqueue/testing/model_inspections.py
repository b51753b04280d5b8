"""What can be read of the model, as `pgqueue.testing.side` reads it of a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from pgqueue.graphs import Workflow
from pgqueue.inspections import Outcome
from pgqueue.jobs import Job, State
from pgqueue.operations import ClaimedJob
from pgqueue.testing.model_graph import Graph


class Inspections(Graph):
    """The verbs that only read."""

    def __init__(self, keep: frozenset[State]) -> None:
        super().__init__(keep)
        self.workflows: dict[int, Workflow] = {}
        self.workers: dict[int, datetime] = {}
        self.paused: dict[str, datetime] = {}

    def get(self, ids: Iterable[int]) -> dict[int, Job]:
        return {
            id: replace(job, position=None, blocked_by=0 if job.finished else self.waits(id))
            for id in ids
            if (job := self.jobs.get(id))
        }

    def parents(self, ids: Iterable[int]) -> list[Outcome]:
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
                    Outcome(
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

    def counts(self) -> dict[tuple[str, State], int]:
        return dict(Counter((job.queue, job.state) for job in self._unfinished(self.jobs)))

    def flows(self) -> dict[int, tuple[str, tuple[str, ...], Mapping[State, int]]]:
        states: dict[int, Counter[State]] = {}
        for job in self.jobs.values():
            if job.workflow:
                states.setdefault(job.workflow, Counter())[job.state] += 1
        flows = self.workflows
        return {id: (flows[id].name, flows[id].tags, found) for id, found in states.items()}


def in_hands(job: Job) -> ClaimedJob:
    """What a worker gets of *job*."""
    assert job.lease
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
        lease=job.lease,
    )


def as_text(value: Any) -> str:
    """*value* as JSON, in its one form."""
    return msgspec.json.encode(value, order="sorted").decode()
