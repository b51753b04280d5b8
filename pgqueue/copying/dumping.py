"""Jobs as lines of JSON in a file: `jobs dump` and `purge --dump` write it, `jobs import` reads it.

The first line says which dump this is, each other one is a job with its edges, a workflow before
the first of its jobs, or a unique key that holds for a time. Later jobs may be appended to a file:
it stays the same dump.
"""

from __future__ import annotations

import gzip
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final, TypeAlias

import msgspec

from pgqueue.copying.copier import PAGE, Document, Edge, documents
from pgqueue.copying.windows import Window, pages
from pgqueue.errors import PgqueueError
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import FINISHED
from pgqueue.operations import ChosenJob, Place, Plan, choose, control, inspections
from pgqueue.operations.acting import Act, Answers
from pgqueue.operations.inspections import WorkflowSummary

VERSION: Final = 1


class Head(msgspec.Struct, tag="pgqueue", tag_field="is"):
    """The first line: *dump* tells this file from every other."""

    dump: str
    at: datetime
    version: int = VERSION


class Flow(msgspec.Struct, tag="workflow", tag_field="is"):
    """A graph with a name, before its jobs."""

    workflow: WorkflowSummary


class JobLine(msgspec.Struct, tag="job", tag_field="is"):
    """A job."""

    job: Document


class WindowLine(msgspec.Struct, tag="window", tag_field="is"):
    """A unique key that holds for a time, after the jobs."""

    window: Window


Line: TypeAlias = Head | Flow | JobLine | WindowLine
_lines: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)


class DumpFile:
    """A file of jobs that is written; it is on the disk when `write` returns.

    Appends to an existing file; raises PgqueueError if that was cut off. Compresses if its name
    ends in ``.gz``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._workflows: set[int] = set()
        self.jobs = 0
        if path.exists() and path.stat().st_size:
            for line in lines(path, whole=True):
                if isinstance(line, Flow):
                    self._workflows.add(line.workflow.id)
            self._file: IO[bytes] = path.open("ab")
        else:
            self._file = path.open("wb")
            self._append([Head(str(uuid.uuid4()), datetime.now(UTC))])

    def write(self, jobs: Sequence[Document], flows: Sequence[WorkflowSummary]) -> None:
        """Append *jobs*, preceded by those of *flows* that the file does not have yet."""
        new = [flow for flow in flows if flow.id not in self._workflows]
        self._workflows |= {flow.id for flow in new}
        self._append([*map(Flow, new), *map(JobLine, jobs)])
        self.jobs += len(jobs)

    def keep(self, windows: Sequence[Window]) -> None:
        """Append *windows*."""
        if windows:
            self._append([WindowLine(window) for window in windows])

    def close(self) -> None:
        self._file.close()

    def _append(self, written: Sequence[Line]) -> None:
        text = b"".join(msgspec.json.encode(line) + b"\n" for line in written)
        self._file.write(gzip.compress(text, 6) if self._path.suffix == ".gz" else text)
        self._file.flush()
        os.fsync(self._file.fileno())


def lines(path: Path, *, whole: bool = False) -> Iterator[Line]:
    """Yield the lines of the file at *path*, its head first.

    A last line that was cut off is left out, unless *whole* is set. Raises PgqueueError for
    anything else that is not part of a dump.
    """
    number = 0
    with path.open("rb") as raw:
        text = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        try:
            for number, line in enumerate(text, 1):
                if not line.endswith(b"\n"):
                    raise EOFError
                yield _read(path, number, line)
        except EOFError:
            if whole or not number:
                raise PgqueueError(
                    f"{path} was cut off after line {number}; write to another file"
                ) from None
        except (gzip.BadGzipFile, UnicodeDecodeError) as error:
            raise PgqueueError(f"{path} is no file of jobs: {error}") from None
    if not number:
        raise PgqueueError(f"{path} is empty")


def _read(path: Path, number: int, line: bytes) -> Line:
    try:
        read = _lines.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PgqueueError(f"{path}, line {number}: {error}") from None
    if (number == 1) != isinstance(read, Head):
        raise PgqueueError(f"{path}, line {number}: the first line, and no other, names the dump")
    if isinstance(read, Head) and read.version > VERSION:
        raise PgqueueError(f"{path} was written by a later pgqueue, in form {read.version}")
    return read


Write = Callable[[Sequence[Document], Sequence[WorkflowSummary]], None]


def dump(filter: Filter, file: DumpFile, told: Callable[[int], None]) -> Plan[int]:
    """Write to *file* all jobs that match *filter*, with edges and workflows; return how many.

    Also write their unique keys that hold for a time. If *filter* matches all jobs, write every
    such key that held at the start: its job may be gone, and the key still holds.
    """
    ids: set[int] = set()
    if filter == Filter():
        yield from pages(lambda page: ids.update(window.job for window in page), PAGE)
    count = 0
    rest: Place | None = Place()
    while rest is not None:
        chosen = yield choose(filter, place=rest)
        jobs = yield from read([job.id for job in chosen.jobs])
        flows = yield from workflows_of(jobs)
        file.write(jobs, flows)
        told(len(jobs))
        ids.update(job.id for job in jobs)
        count, rest = count + len(jobs), chosen.rest
    yield from pages(lambda page: file.keep([w for w in page if w.job in ids]), PAGE)
    return count


def read(ids: Sequence[int]) -> Plan[list[Document]]:
    """Read jobs with their edges; one that is gone by now is missing."""
    if not ids:
        return []
    found: list[Document] = yield documents(ids)
    jobs = {job.id: job for job in found}
    for row in (yield inspections.parents(list(jobs))):
        edge = Edge(row.parent, row.on_failure, row.outcome, row.name)
        jobs[row.child].edges = [*jobs[row.child].edges, edge]
    return [jobs[id] for id in ids if id in jobs]


def workflows_of(jobs: Sequence[Document]) -> Plan[list[WorkflowSummary]]:
    """Read the workflows that *jobs* belong to."""
    flows: list[WorkflowSummary] = []
    for id in sorted({job.workflow for job in jobs if job.workflow}):
        flows += yield inspections.workflows(id=id, look=1)
    return flows


def purging(write: Write, *, transactional: bool) -> Act:
    """Delete finished jobs, and write them before that is durable.

    With *transactional*, exactly the deleted jobs are written, before the commit; otherwise jobs
    are written before they are deleted.
    """

    def do(jobs: Sequence[ChosenJob], states: object) -> Plan[Answers]:
        ids = [job.id for job in jobs]
        found = [job for job in (yield from read(ids)) if job.state in FINISHED]
        flows = yield from workflows_of(found)
        if not transactional:
            write(found, flows)
        answers: Answers = yield control.purge(ids)
        if transactional:
            write([job for job in found if answers.get(job.id) == "purged"], flows)
        return answers

    return Act("purge", do, frozenset({"purged"}), sorted(FINISHED), newest=True)
