"""Jobs as the rows of an enqueue statement, in documents of moderate size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any

from pgqueue.jobs import NewJob
from pgqueue.operations.operation import Param
from pgqueue.operations.params import as_json, boolean, instant

CHUNK = 1_000
CHUNK_CHARACTERS = 16_000_000  # a JSON document has its limits, 256 MiB in PostgreSQL


def is_simple(jobs: Sequence[NewJob[Any]]) -> bool:
    """Is enqueueing *jobs* a single statement, which needs no transaction around it?"""
    if len(jobs) == 1:
        return not jobs[0].edges and jobs[0].unique is None
    return len(jobs) <= CHUNK and (
        not any(job.edges or job.unique is not None for job in jobs)
        and sum(1 for _ in chunks(jobs)) <= 1
    )


def chunks(jobs: Sequence[NewJob[Any]]) -> Iterator[tuple[int, int]]:
    """Where to cut *jobs*, so that each piece is a document of moderate size."""
    if len(jobs) == 1:
        yield 0, 1
        return
    start = size = 0
    for n, job in enumerate(jobs):
        length = len(job.args) + len(job.metadata or "")
        if n - start == CHUNK or (size + length > CHUNK_CHARACTERS and n > start):
            yield start, n
            start, size = n, 0
        size += length
    if start < len(jobs):
        yield start, len(jobs)


_shared = attrgetter("task", "queue", "priority", "max_attempts", "timeout")
_unusual = attrgetter("edges", "tags", "unique", "run_at", "delay", "metadata")
_NOTHING_UNUSUAL = ((), (), None, None, None, None)


def is_plain(job: NewJob[Any]) -> bool:
    """May it run at once, and is there nothing unusual about it?"""
    return bool(_unusual(job) == _NOTHING_UNUSUAL)


def are_alike(jobs: Sequence[NewJob[Any]]) -> bool:
    """Are they plain, and do they differ in their arguments alone?"""
    return all(map(_NOTHING_UNUSUAL.__eq__, map(_unusual, jobs))) and all(
        map(_shared(jobs[0]).__eq__, map(_shared, jobs))
    )


def columns(job: NewJob[Any], args: str, notify: bool, now: datetime | None) -> dict[str, Param]:
    """What a plain job has, as parameters of their own, beside *args*, perhaps those of many."""
    return {
        "task": job.task,
        "args": args,
        "queue": job.queue,
        "priority": str(job.priority),
        "max_attempts": str(job.max_attempts),
        "timeout_seconds": None if job.timeout is None else str(job.timeout.total_seconds()),
        "notify": boolean(notify),
        "now": instant(now),
    }


def rows_of(
    jobs: Sequence[NewJob[Any]], parents: Sequence[Sequence[object]], workflow: int | None
) -> list[str]:
    """What the statement needs to know of each job, as JSON; what is left out takes the default.

    The first of those that become available alike wakes sleepers for all of them.
    """
    rows = []
    told = set()
    for job, edges in zip(jobs, parents, strict=True):
        row = _beginning(
            job.task, job.queue, job.priority, job.max_attempts, job.timeout, job.tags, workflow
        )
        row += job.args
        run_at, delay = job.run_at, job.delay
        if run_at is not None:
            row += f',"run_at":{as_json(run_at)}'
        if delay is not None:
            row += f',"delay_seconds":{delay.total_seconds()}'
        if job.unique is not None:
            row += f',"unique_key":{as_json(job.unique)}'
        if job.metadata is not None:
            row += f',"metadata":{job.metadata}'
        if edges:
            row += f',"blocked_by":{len(edges)}'
        elif (topic := (job.queue, run_at, delay)) not in told:
            told.add(topic)
            row += ',"wake":true'
        rows.append(f"{row}}}")
    return rows


@lru_cache(256)
def _beginning(
    task: str,
    queue: str,
    priority: int,
    max_attempts: int,
    timeout: timedelta | None,
    tags: tuple[str, ...],
    workflow: int | None,
) -> str:
    """A row up to its arguments: what the jobs of a task share is written once."""
    row: dict[str, Any] = {"task": task}
    if queue != "default":
        row["queue"] = queue
    if priority:
        row["priority"] = priority
    if max_attempts != 10:
        row["max_attempts"] = max_attempts
    if timeout is not None:
        row["timeout_seconds"] = timeout.total_seconds()
    if tags:
        row["tags"] = tags
    if workflow is not None:
        row["workflow"] = workflow
    return f'{as_json(row)[:-1]},"args":'
