"""What a round leaves behind, for the checker: no word of any store, and none of pgqueue's code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Literal

from tests.faults.journal import Line

EVERYBODY = frozenset({"*"})
NOBODY: frozenset[str] = frozenset()
STARVED = "starved"
AFTERMATH = 5.0  # for so long after it is healed a fault may show
Fate = Literal["committed", "rolled back", "unknown"]
FINISHED = ("completed", "cancelled", "discarded")
CLOSING = {"end", "failed", "snoozed", "discarded", "cancelled", "interrupted", "broke"}


@dataclass(frozen=True, slots=True)
class Parent:
    key: int
    policy: str


@dataclass(frozen=True, slots=True)
class Order:
    """A row of the producer's own, written in the transaction that enqueued job *job*.

    *created*: False when an unfinished job held *unique* already, and *job* is that one.
    """

    key: int
    job: int
    created: bool
    plan: str
    executor: str
    asked_at: float
    unique: str | None = None
    parents: tuple[Parent, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the store shows it in the end."""

    id: int
    key: int
    state: str
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done, when, and to which workers."""

    kind: str
    struck_at: float
    healed_at: float
    touched: frozenset[str]
    measure: str | None = None

    def touches(self, worker: str, since: float, until: float) -> bool:
        """Could it be why *worker* was not itself between two instants?"""
        active = self.struck_at <= until and self.healed_at + AFTERMATH >= since
        return active and (self.touched == EVERYBODY or worker in self.touched)


@dataclass(frozen=True, slots=True)
class Worker:
    """One process; *ended_at* is inf while it lives. *asked*: its end was the campaign's doing.
    *hung*: it was told to stop, and had to be killed."""

    name: str
    concurrency: int
    started_at: float
    ended_at: float = inf
    asked: bool = True
    exit_code: int | None = None
    hung: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job, from the journal; *how* is None when nobody heard of its end."""

    name: str
    job: int
    key: int
    worker: str
    executor: str
    started_at: float
    ended_at: float | None = None
    how: str | None = None


@dataclass(frozen=True)
class Facts:
    """*fates*: what the producer knows of each order it ever tried, with when it was told."""

    orders: Sequence[Order]
    fates: Mapping[int, tuple[Fate, float]]
    jobs: Sequence[Job]
    lines: Sequence[Line]
    faults: Sequence[Fault]
    workers: Sequence[Worker]
    bookings: Sequence[tuple[int, str]] = ()
    gave_up: str | None = None
    roll_call: Mapping[str, bool] = field(default_factory=dict)
    quiet_at: float = inf  # from then on nothing was produced but the roll call

    @cached_property
    def runs(self) -> dict[int, list[Run]]:
        """By job, in the order in which they started."""
        started = {line.run: line for line in self.lines if line.what == "start"}
        closed = {line.run: line for line in self.lines if line.what in CLOSING}
        runs: dict[int, list[Run]] = defaultdict(list)
        for line in sorted(started.values(), key=lambda line: line.at):
            last = closed.get(line.run)
            runs[line.job].append(
                Run(
                    line.run,
                    line.job,
                    line.key,
                    line.worker,
                    line.executor,
                    line.at,
                    last and last.at,
                    last and last.what,
                )
            )
        return dict(runs)

    @cached_property
    def whole(self) -> dict[str, float]:
        """Runs that came to their end, and when; the answer to their commit may have been lost, and
        they interrupted much later."""
        return {line.run: line.at for line in reversed(self.lines) if line.what == "end"}

    @cached_property
    def by_id(self) -> dict[int, Job]:
        return {job.id: job for job in self.jobs}

    @cached_property
    def by_key(self) -> dict[int, Order]:
        return {order.key: order for order in self.orders}

    def accepted(self, job: Job) -> Run | None:
        """The run whose result the store kept."""
        runs = self.runs.get(job.id, ())
        return next((run for run in runs if job.result and run.name == job.result), None)

    def blamed(self, workers: Iterable[str], since: float, until: float) -> Fault | None:
        """The fault that is most likely why one of *workers* was not itself between two instants:
        one that was dealt, to the first of them, to few, and late."""
        candidates = [
            (fault.kind == STARVED, number, fault.touched == EVERYBODY, -fault.struck_at, fault)
            for number, worker in enumerate(workers)
            for fault in self.all_faults
            if fault.touches(worker, since, until)
        ]
        return min(candidates, key=lambda found: found[:-1])[-1] if candidates else None

    @cached_property
    def all_faults(self) -> list[Fault]:
        """Those that were dealt, and the moments in which a process, or all, were starved."""
        stalls = [
            Fault(
                STARVED,
                line.at - line.seconds,
                line.at,
                EVERYBODY if line.worker == "-" else frozenset({line.worker}),
            )
            for line in self.lines
            if line.what == "stalled"
        ]
        return [*self.faults, *stalls]
