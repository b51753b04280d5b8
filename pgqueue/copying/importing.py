"""Jobs of a dump become jobs here, under new ids, with their graph; each once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from pgqueue.copying.copier import (
    PAGE,
    Document,
    Store,
    batches,
    copied,
    parents_first,
    restore,
)
from pgqueue.copying.dumping import Flow, Head, JobLine, WindowLine, lines
from pgqueue.copying.windows import keep_windows
from pgqueue.errors import PgqueueError
from pgqueue.jobs.job import State
from pgqueue.operations.inspections import WorkflowSummary

T = TypeVar("T")

WAITING_FOR_TIME: Final = (State.SCHEDULED, State.RETRYABLE)


@dataclass
class Imported:
    """How many *jobs* the file has, by state, how many were *brought*, and which were *left*.

    *left*: jobs that wait for jobs missing in the file. *there*: jobs that an earlier import has
    brought, or whose unique key an unfinished job here has. *windows*: how many unique keys with a
    time limit the import has set.
    """

    jobs: dict[State, int] = field(default_factory=dict)
    brought: int = 0
    there: int = 0
    windows: int = 0
    left: list[int] = field(default_factory=list)


class Importer:
    """Imports the jobs in the file at *path* into *target*.

    *keep_schedule*: jobs that are due later keep their time, and do not run now. *again*: import
    jobs that are here already once more. A running job becomes a waiting one, and its attempt does
    not count.
    """

    def __init__(
        self, path: Path, target: Store, *, keep_schedule: bool = False, again: bool = False
    ) -> None:
        self._path = path
        self._target = target
        self._keep_schedule = keep_schedule
        head = next(lines(path))
        assert isinstance(head, Head)
        self._source = f"dump {head.dump}" + (f" again {uuid.uuid4()}" if again else "")
        self._flows: dict[int, WorkflowSummary] = {}
        self._now = datetime.now(UTC)
        self.report = Imported()

    def survey(self) -> Imported:
        """Read the whole file. Raises PgqueueError if it was imported before, all of it."""
        known = 0
        for page in _pages(self._documents()):
            for job in page:
                self.report.jobs[job.state] = self.report.jobs.get(job.state, 0) + 1
            known += len(self._target.execute(copied(self._source, [job.id for job in page])))
        total = sum(self.report.jobs.values())
        if total and known >= total:
            raise PgqueueError(
                f"{self._path} was imported before, all {total} jobs; --again does it once more"
            )
        return self.report

    def run(self, told: Callable[[int], None] = lambda count: None) -> Imported:
        """Import what was not imported before; *told* is called with how many more are done."""
        self._keep_windows()
        blocked: list[Document] = []
        there: set[int] = set()
        for page in _pages(self._documents()):
            ready = [job for job in page if not _undecided(job)]
            blocked += [job for job in page if _undecided(job)]
            self._bring(ready)
            there.update(job.id for job in ready)
            told(len(ready))
        while blocked:
            ready = parents_first(blocked, there)
            if not ready:
                self.report.left = [job.id for job in blocked]
                break
            for start in range(0, len(ready), PAGE):
                self._bring(ready[start : start + PAGE])
                told(len(ready[start : start + PAGE]))
            there.update(job.id for job in ready)
            blocked = [job for job in blocked if job.id not in there]
        return self.report

    def _keep_windows(self) -> None:
        """Keep unique keys that hold for a time, before somebody enqueues with one of them."""
        found = (line.window for line in lines(self._path) if isinstance(line, WindowLine))
        for page in _pages(found):
            self.report.windows += len(self._target.execute(keep_windows(self._source, page)))

    def _documents(self) -> Iterator[Document]:
        """Yield each job of the file once, in the form to insert here."""
        seen: set[int] = set()
        for line in lines(self._path):
            if isinstance(line, Flow):
                self._flows[line.workflow.id] = line.workflow
            elif isinstance(line, JobLine) and line.job.id not in seen:
                seen.add(line.job.id)
                yield self._awaited(line.job)

    def _awaited(self, job: Document) -> Document:
        if job.finished_at is not None:
            return job
        if job.state == State.RUNNING:
            job.state, job.attempt = State.AVAILABLE, max(0, job.attempt - 1)
        if not self._keep_schedule:
            if job.state in WAITING_FOR_TIME:
                job.state = State.AVAILABLE
            job.run_at = min(job.run_at, self._now)
        return job

    def _bring(self, jobs: Sequence[Document]) -> None:
        for batch in batches(jobs):
            flows = {job.workflow: self._flows.get(job.workflow) for job in batch if job.workflow}
            named = [flow for flow in flows.values() if flow is not None]
            brought = self._target.execute(restore(self._source, batch, named))
            self.report.brought += len(brought)
            self.report.there += len(batch) - len(brought)


def _undecided(job: Document) -> set[int]:
    """Return the parents that *job* waits for."""
    return {edge.parent for edge in job.edges if edge.outcome is None}


def _pages(found: Iterator[T]) -> Iterator[list[T]]:
    while page := list(islice(found, PAGE)):
        yield page
