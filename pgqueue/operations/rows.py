"""Jobs as the rows of an enqueue statement, in documents of moderate size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any

from pgqueue.jobs.job import NewJob
from pgqueue.jobs.unique import Merge, Unique
from pgqueue.operations.operation import Param
from pgqueue.operations.params import as_json, boolean, instant, microseconds

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
    """Yield the (start, end) of pieces of *jobs*, each a document of moderate size."""
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


_unusual = attrgetter("edges", "tags", "unique", "run_at", "delay", "expires")
_NOTHING_UNUSUAL = ((), (), None, None, None, None)
_all_but_args = attrgetter(
    *("task", "queue", "key", "priority", "max_attempts", "timeout", "metadata", "keep"),
    *("edges", "tags", "unique", "run_at", "delay", "expires"),
)


def is_plain(job: NewJob[Any]) -> bool:
    """May it run at once, and is there nothing unusual about it?"""
    return bool(_unusual(job) == _NOTHING_UNUSUAL)


def are_alike(jobs: Sequence[NewJob[Any]]) -> bool:
    """Are they plain, and do they differ in their arguments alone?"""
    return is_plain(jobs[0]) and all(map(_all_but_args(jobs[0]).__eq__, map(_all_but_args, jobs)))


def columns(job: NewJob[Any], args: str, notify: bool, now: datetime | None) -> dict[str, Param]:
    """Return the fields of a plain job as parameters; *args* may be those of many like it."""
    shared = _columns(
        job.task, job.queue, job.key, job.priority, job.max_attempts, job.timeout, job.keep, notify
    )
    return {**shared, "args": args, "metadata": job.metadata, "now": instant(now)}


def rows_of(
    jobs: Sequence[NewJob[Any]], parents: Sequence[Sequence[object]], workflow: int | None
) -> list[str]:
    """Return each job as JSON, as the statement reads it; what is left out takes the default.

    Of jobs that become available alike, in one queue at one time, only the first says *wake*: one
    notification is enough for all.
    """
    rows = []
    woken = set()
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
            row += f',"unique_key":{as_json(job.unique_key)}'
            if job.uniqueness is not None:
                row += _ruled(job.uniqueness)
        if job.key is not None:
            row += f',"key":{as_json(job.key)}'
        if job.metadata is not None:
            row += f',"metadata":{job.metadata}'
        if isinstance(job.expires, timedelta):
            row += f',"expires_seconds":{job.expires.total_seconds()}'
        elif job.expires is not None:
            row += f',"expires_at":{microseconds(job.expires)}'
        if not job.keep:
            row += ',"keep":false'
        if edges:
            row += f',"blocked_by":{len(edges)}'
        elif (topic := (job.queue, run_at, delay)) not in woken:
            woken.add(topic)
            row += ',"wake":true'
        rows.append(f"{row}}}")
    return rows


def document(rows: Sequence[str], notify: bool, now: datetime | None) -> dict[str, Param]:
    """Return the parameters of a statement that enqueues *rows*."""
    return {"jobs": f"[{','.join(rows)}]", "notify": boolean(notify), "now": instant(now)}


@lru_cache(256)
def _columns(
    task: str,
    queue: str,
    key: str | None,
    priority: int,
    max_attempts: int,
    timeout: timedelta | None,
    keep: bool,
    notify: bool,
) -> dict[str, Param]:
    """Return what the jobs of a task mostly share, cached: nobody may change it."""
    return {
        "task": task,
        "queue": queue,
        "key": key or "",
        "priority": str(priority),
        "max_attempts": str(max_attempts),
        "timeout_seconds": None if timeout is None else str(timeout.total_seconds()),
        "keep": None if keep else "false",
        "notify": boolean(notify),
    }


@lru_cache(64)
def _ruled(rule: Unique) -> str:
    """Return what `enqueue_once` is told of a rule."""
    row: dict[str, Any] = {}
    if rule.seconds is not None:
        row["until_seconds"] = rule.seconds
    elif rule.until == "started":
        row["until"] = "started"
    if rule.replaces:
        row["conflict"] = "replace"
    if isinstance(rule.conflict, Merge):
        row["merged"] = rule.conflict.arguments
    if rule.keep:
        row["kept"] = rule.keep
    if rule.at_most is not None:
        row["at_most_seconds"] = rule.at_most
    return f",{as_json(row)[1:-1]}" if row else ""


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
    """Return a row up to its arguments, cached: the jobs of a task share it."""
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
