"""What a round leaves behind, for the checker: it names no store, and uses no code of pgqueue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from math import inf
from typing import Literal

from tests.faults.journal import Line
from tests.faults.timetable import Entry, When

EVERYBODY = frozenset({"*"})
NOBODY: frozenset[str] = frozenset()
STARVED = "starved"
LONG_STALL = 2.0  # a process starved for so long may have been taken for dead
AFTERMATH = 5.0  # for so long after its healing a fault may still have effects
Fate = Literal["committed", "rolled back", "unknown"]
Sees = Literal["first", "newest", "all"]
FIRST_DOCUMENT = -(2**50)  # the key of jobs of one document; those of the others are below it
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
    *started*: it holds *unique* until it has started; then *outcome* may be "next": the job before
    ran, and *job* waits for its end.
    """

    key: int
    job: int
    created: bool
    plan: str
    executor: str
    asked_at: float
    unique: str | None = None
    parents: tuple[Parent, ...] = ()
    delay: float = 0.0
    started: bool = False
    outcome: str = "created"


@dataclass(frozen=True, slots=True)
class Made:
    """What a job knows of the schedule that made it, and when it was to run."""

    schedule: str
    instant: datetime
    previous: datetime | None
    missed: int
    manual: bool
    run_at: datetime


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the store shows it in the end."""

    id: int
    key: int
    state: str
    result: str | None = None
    made: Made | None = None


@dataclass(frozen=True, slots=True)
class Firing:
    """What the store says became of an instant of a schedule."""

    schedule: str
    instant: datetime
    outcome: str
    job: int | None
    fired_at: datetime


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of *schedule* at some instant between two of the monotonic clock.

    *declared*: it exists from then on. *other*: it fires by what it was changed to. *own*: by what
    was declared. *caught up*: it had fired everything that was due until *since*.
    """

    schedule: str
    what: Literal["declared", "paused", "resumed", "made up", "other", "own", "run", "caught up"]
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Backfill:
    """Somebody asked for jobs for the instants of *when* from *since* on and before *until*, in
    which *schedule* was paused. *told_at*: the store had confirmed it by then."""

    schedule: str
    when: When
    since: datetime
    until: datetime
    told_at: float | None = None


@dataclass(frozen=True)
class Calendar:
    """The schedules of a round. *behind*: those that did not fire what was due when all was well.
    *now_at*: the wall clock's time when the monotonic one was 0. *true*: the store's clock is
    the machine's, and is right."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    turns: Sequence[Turn] = ()
    firings: Sequence[Firing] = ()
    behind: Sequence[str] = ()
    backfills: Sequence[Backfill] = ()
    now_at: float = 0.0
    true: bool = True


@dataclass(frozen=True, slots=True)
class Start:
    """When an attempt of a job of *queue* and *key* began, by the store's clock."""

    job: int
    queue: str
    key: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many jobs of a queue, or of one key of it, ran in one snapshot: more than in any snapshot
    before, or more than the limit allows."""

    queue: str
    key: str | None
    running: int
    at: float


@dataclass(frozen=True, slots=True)
class Holders:
    """The jobs with the key *unique* that had not ended in one snapshot: how many in all, how many
    that did not wait for another job, and how many that no worker had ever claimed."""

    unique: str
    unfinished: int
    free: int
    unclaimed: int


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of *document*, which triggered *job*, a job of that document; None: nobody knows.

    *sees*: which edits the job is to have: the one that made it, the "newest", or "all" of them.
    *window*: its key holds for so many seconds; None: until it has started. *committing_at*: not
    before then it was committed; *told_at*: the store had answered by then. *outcome*: the
    handle's, or "raised": the edit was refused, as there was *job*.
    """

    number: int
    document: str
    sees: Sees
    asked_at: float
    committing_at: float = inf
    told_at: float = inf
    fate: Fate = "rolled back"
    job: int | None = None
    outcome: str | None = None
    window: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done, when, and to which workers.

    *robs*: the workers it touches are dead, frozen, or forgotten by the store, and others may take
    their jobs. *held*: jobs whose rows another transaction locks meanwhile; None: it locks none.
    *schedule*: the one whose row it locks.
    *forgot_since*: when it was healed, the store knew nothing of what it had done since then.
    """

    kind: str
    struck_at: float
    healed_at: float
    touched: frozenset[str]
    measure: str | None = None
    robs: bool = True
    held: frozenset[int] | None = None
    schedule: str | None = None
    forgot_since: float | None = None

    def touches(self, worker: str, since: float, until: float) -> bool:
        """May the fault explain why *worker* did not work normally between two instants?"""
        active = self.struck_at <= until and self.healed_at + AFTERMATH >= since
        return active and (self.touched == EVERYBODY or worker in self.touched)


@dataclass(frozen=True, slots=True)
class Worker:
    """One process; *ended_at* is inf while it lives. *asked*: the campaign has ended it.
    *hung*: it was asked to stop, and had to be killed. *ready_at*: it had joined by then."""

    name: str
    concurrency: int
    started_at: float
    ended_at: float = inf
    asked: bool = True
    exit_code: int | None = None
    hung: bool = False
    ready_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job, from the journal; *how* is None when its end is unknown."""

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
    """*fates*: what the producer knows of each order it ever tried, with when it learned that."""

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
    calendar: Calendar = field(default_factory=Calendar)
    crowds: Sequence[Crowd] = ()
    starts: Sequence[Start] = ()
    holders: Collection[Holders] = ()
    edits: Sequence[Edit] = ()
    clashes: Sequence[str] = ()

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
    def claims(self) -> dict[int, list[Line]]:
        """By job, when a worker had claimed it, in that order."""
        claims: dict[int, list[Line]] = defaultdict(list)
        for line in sorted(self.lines, key=lambda line: line.at):
            if line.what == "claimed":
                claims[line.job].append(line)
        return dict(claims)

    @cached_property
    def had(self) -> dict[str, list[int]]:
        """By run, the numbers of the edits that it had."""
        had: dict[str, list[int]] = defaultdict(list)
        for line in self.lines:
            if line.what == "had":
                had[line.run].append(line.key)
        return dict(had)

    @cached_property
    def whole(self) -> dict[str, float]:
        """Runs that came to their end, and when; if the answer to their commit was lost, they may
        have been interrupted much later."""
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

    def ended(self, id: int) -> float | None:
        """The earliest instant at which the run that finished job *id* may have ended; None:
        unknown."""
        job = self.by_id.get(id)
        if job is None or job.state not in FINISHED:
            return None
        run = self.accepted(job)
        if run is not None:
            return self.whole.get(run.name)
        return min(
            (e.ended_at for e in self.finishing(job) if e.ended_at is not None), default=None
        )

    def finishing(self, job: Job) -> list[Run]:
        """The runs of which one finished *job*."""
        if (run := self.accepted(job)) is not None:
            return [run]
        return [run for run in self.runs.get(job.id, ()) if run.how == job.state]

    def blamed(self, workers: Iterable[str], since: float, until: float) -> Fault | None:
        """The most likely fault that kept one of *workers* from working between two instants: one
        that was dealt, to the first of them, to few workers, and late."""
        candidates = [
            (fault.kind == STARVED, number, fault.touched == EVERYBODY, -fault.struck_at, fault)
            for number, worker in enumerate(workers)
            for fault in self.all_faults
            if fault.touches(worker, since, until)
        ]
        return min(candidates, key=lambda found: found[:-1])[-1] if candidates else None

    def robbed_by(self, worker: str, since: float, until: float) -> Fault | None:
        """Why others may have taken a job from *worker* between two instants: it was dead, frozen,
        or forgotten. Starvation counts only when no fault explains why it stood still."""
        for fault in self.all_faults:
            if not fault.robs or not fault.touches(worker, since, until):
                continue
            if fault.kind != STARVED or (
                fault.healed_at - fault.struck_at >= LONG_STALL and not self._stilled(fault)
            ):
                return fault
        return None

    def _stilled(self, stall: Fault) -> bool:
        return any(
            fault.touched
            and fault.struck_at <= stall.healed_at
            and stall.struck_at <= fault.healed_at + 1
            for fault in self.faults
            if fault.kind != STARVED
        )

    @cached_property
    def all_faults(self) -> list[Fault]:
        """Faults that were dealt, and moments in which a process, or all, were starved."""
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
