"""What happens in the demo, and the figures that it measures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import msgspec
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgqueue import backends
from pgqueue.client import enqueue
from pgqueue.demo import SCHEMA, Report, app, nothing, read_source, report, stumble, tick
from pgqueue.demo.stage import Stage, Workers
from pgqueue.errors import PgqueueError
from pgqueue.jobs.job import Handle, NewJob, State
from pgqueue.migrations.migrate import database_at
from pgqueue.operations import inspections

TICKS: Final = 40
STUMBLES: Final = 20
PINGS: Final = 50
BURST: Final = 10_000
_LOOK_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 60.0


class Base(DeclarativeBase):
    """The tables of an application."""

    metadata = MetaData(schema=SCHEMA)


class Scan(Base):
    """A row of the application's own, written in the transaction that enqueues its jobs."""

    __tablename__ = f"{SCHEMA}_scan"

    id: Mapped[int] = mapped_column(primary_key=True)
    directory: Mapped[str]
    files: Mapped[int]


class Moment(msgspec.Struct, frozen=True):
    """How far the demo is: *done* of *jobs*, after so many *seconds*."""

    done: int
    jobs: int
    seconds: float
    states: dict[str, int]


class Spread(msgspec.Struct, frozen=True):
    """How long something took, in seconds: the median, and what one in a hundred exceeds."""

    jobs: int
    p50_seconds: float
    p99_seconds: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo tells at the end; *report* is the result of the jobs.

    *lateness*: of jobs with a set instant, while the workers were busy. *pickup*: from enqueued to
    claimed, by idle workers. *seen_before_commit*: how many jobs another connection saw before
    their commit; any is an error.
    """

    server: str
    processes: int
    directory: str
    jobs: int
    enqueue_seconds: float
    seen_before_commit: int
    seconds: float
    jobs_per_second: float
    states: dict[str, int]
    retried: int
    lateness: Spread
    pickup: Spread
    burst_jobs: int
    burst_per_second: float
    report: Report


class Play:
    """One run: on *stage*, with *cast*, over the Python files *paths* below *directory*."""

    def __init__(self, stage: Stage, cast: Workers, directory: Path, paths: Sequence[Path]) -> None:
        self._stage = stage
        self._cast = cast
        self._directory = directory
        self._paths = paths
        self.enqueue_seconds = 0.0
        self.seen_before_commit = 0
        self._handles: list[Handle[Any]] = []

    def await_workers(self) -> None:
        """Wait until all worker processes are there."""
        self._until(
            lambda: len(app.execute(inspections.workers())) >= self._cast.processes,
            "no workers came",
        )

    def enqueue(self) -> int:
        """Write a row and enqueue all jobs, in one transaction; return how many jobs."""
        files = [read_source.job(str(path)) for path in self._paths]
        ticks = [tick.job(n).options(delay=1 + 0.05 * n) for n in range(TICKS)]
        stumbles = [stumble.job(n) for n in range(STUMBLES)]
        last = report.job().after(*files, on_failure="run")
        jobs: list[NewJob[Any]] = [*ticks, *stumbles, *files, last]
        if backends.store_of(self._stage.url) == "redis":
            self._enqueue_in_pipeline(jobs)
            return len(jobs)
        engine = database_at(self._stage.url).engine(self._stage.url)
        if engine.dialect.name == "sqlite":
            engine = engine.execution_options(schema_translate_map={SCHEMA: None})
        Base.metadata.create_all(engine)
        began = time.monotonic()
        with Session(engine) as session, session.begin():
            session.add(Scan(directory=str(self._directory), files=len(files)))
            self._handles = enqueue(session, jobs)
            self.enqueue_seconds = time.monotonic() - began
            self.seen_before_commit = sum(c.count for c in self._counts())
        return len(jobs)

    def _enqueue_in_pipeline(self, jobs: list[NewJob[Any]]) -> None:
        """As `enqueue`, on a store whose transaction is a pipeline."""
        from pgqueue.demo import namespace

        began = time.monotonic()
        with namespace.pipeline(self._stage.url) as pipeline:
            self._handles = namespace.enqueue_with(pipeline, str(self._directory), jobs)
            self.seen_before_commit = sum(c.count for c in self._counts())
        self.enqueue_seconds = time.monotonic() - began

    def progress(self) -> Iterator[Moment]:
        """Yield how far the demo is, again and again, until all is done. Raises PgqueueError."""
        began = time.monotonic()
        while True:
            left: Counter[str] = Counter()
            for count in self._counts():
                left[count.state] += count.count
            jobs = len(self._handles)
            yield Moment(jobs - left.total(), jobs, time.monotonic() - began, dict(left))
            if not left:
                return
            self._cast.check()
            time.sleep(_LOOK_SECONDS)

    def figures(self, seconds: float) -> Figures:
        """Return the figures, after two more acts: single jobs, and a burst of empty ones."""
        found = app.execute(inspections.get(self._handles))
        jobs = [found[handle.id] for handle in self._handles if handle.id in found]
        last = jobs[-1]
        if last.task != report.name or last.state != State.COMPLETED:
            raise PgqueueError(f"the last job ended {last.state}: {last.reason}")
        late = [_seconds(job.run_at, job.claimed_at) for job in jobs if job.task == tick.name]
        return Figures(
            server=self._stage.server,
            processes=self._cast.processes,
            directory=str(self._directory),
            jobs=len(jobs),
            enqueue_seconds=round(self.enqueue_seconds, 3),
            seen_before_commit=self.seen_before_commit,
            seconds=round(seconds, 3),
            jobs_per_second=round(len(jobs) / seconds, 1),
            states=dict(Counter(str(job.state) for job in jobs)),
            retried=sum(job.attempt > 1 for job in jobs),
            lateness=_spread(late),
            pickup=self._pickup(),
            burst_jobs=BURST,
            burst_per_second=round(BURST / self._burst()),
            report=msgspec.convert(last.result, Report),
        )

    def _pickup(self) -> Spread:
        """Enqueue single jobs, each when the one before is done, and return how long each waited
        for a worker."""
        waited = []
        for _ in range(PINGS):
            handle = app.enqueue(nothing.job())
            app.result(handle, _PATIENCE_SECONDS)
            job = app.execute(inspections.get([handle]))[handle.id]
            waited.append(_seconds(job.enqueued_at, job.claimed_at))
        return _spread(waited)

    def _burst(self) -> float:
        """Return how many seconds many empty jobs take, from their commit until the last has
        ended."""
        app.enqueue([nothing.job() for _ in range(BURST)])
        began = time.monotonic()
        self._until(lambda: not self._counts(), "the last jobs were not done")
        return time.monotonic() - began

    def _counts(self) -> list[inspections.Count]:
        return app.execute(inspections.count()).counts

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            self._cast.check()
            if time.monotonic() > deadline:
                raise PgqueueError(f"{otherwise} within {_PATIENCE_SECONDS:g} s")
            time.sleep(0.01)


def _seconds(since: datetime, until: datetime | None) -> float:
    return 0.0 if until is None else max(timedelta(0), until - since).total_seconds()


def _spread(durations: Sequence[float]) -> Spread:
    cuts = quantiles(durations, n=100, method="inclusive")
    return Spread(len(durations), round(cuts[49], 6), round(cuts[98], 6))
