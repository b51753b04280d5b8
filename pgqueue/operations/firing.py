"""The plans of schedules: fire, run now, catch up and edit.

A schedule's unfinished jobs have keys, by which the next one finds them::

    overlap "skip"              one key: whoever holds it answers, and nothing is enqueued
    "next" and "replace"        two keys: one job runs, and one waits behind it
    "allow"                     none, but the job's own

A firing works under the lock of the schedule's row, which `advance` takes: of two leaders only one
gets it. A schedule that is run by hand has no such lock: there the keys keep two jobs from
overlapping.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from pgqueue.errors import InvalidJob, InvalidSchedule, StoreBusy
from pgqueue.jobs.job import Edge, Handle, NewJob, State
from pgqueue.jobs.schedules.firings import job_of, overlap_key, plan_firings
from pgqueue.jobs.schedules.rows import NEVER, FiringOutcome, Scheduled, ScheduleRow, new_job
from pgqueue.operations.control import cancel
from pgqueue.operations.dependencies import hold
from pgqueue.operations.enqueueing import enqueue
from pgqueue.operations.operation import Plan
from pgqueue.operations.params import EVERYTHING
from pgqueue.operations.schedules import (
    Advance,
    Became,
    Holder,
    Instant,
    ScheduleWrite,
    Unreadable,
    advance,
    fired,
    record,
    schedule,
    schedules,
)
from pgqueue.operations.topics import DUE

_ROUNDS: Final = 10
_SECOND: Final = " next"


@dataclass(frozen=True, slots=True)
class ToFire:
    """What is to be done with one schedule: where it goes on to, with a job for each instant."""

    advance: Advance
    jobs: tuple[tuple[datetime, NewJob[Any]], ...] = ()
    passed: tuple[datetime, ...] = ()
    overlap: str = "allow"


@dataclass(slots=True)
class Fired:
    """The outcome: the names that advanced, each instant, and the topics to wake."""

    advanced: set[str] = field(default_factory=set)
    became: list[Became] = field(default_factory=list)
    topics: set[str] = field(default_factory=set)

    def words(self) -> str:
        """How many instants came to what; of one, which job."""
        if len(self.became) == 1:
            return f"{self.became[0].outcome}: job {self.became[0].job}"
        counts = Counter(became.outcome for became in self.became)
        said = (f"{count:,} {outcome}" for outcome, count in sorted(counts.items()))
        return ", ".join(said) or "nothing to do"


def to_fire(row: ScheduleRow | Unreadable, now: datetime) -> ToFire:
    """Return what is to be done with *row* at *now*; what cannot be read ends with a problem."""
    if isinstance(row, Unreadable):
        return _stuck(row, row.why)
    try:
        plan = plan_firings(row, now)
        jobs = tuple((firing.instant, job_for(row, firing)) for firing in plan.firings)
    except (InvalidSchedule, InvalidJob) as error:
        return _stuck(row, str(error))
    except Exception as error:  # nobody knows what somebody writes by hand: the others go on
        return _stuck(row, f"{type(error).__name__}: {error}")
    last_at = plan.last_at if plan.last_at != row.last_at else None
    step = Advance(row.name, row.revision, row.next_at, last_at, plan.next_at)
    return ToFire(step, jobs, plan.passed, row.overlap)


def job_for(row: ScheduleRow, firing: Scheduled) -> NewJob[Any]:
    """Return the job of *firing*. Raises InvalidJob or TypeError for a row that has none."""
    element = msgspec.json.decode(job_of(row, firing))
    element.pop("wake", None)
    if "run_at" in element:
        element["run_at"] = datetime.fromisoformat(element["run_at"])
    return new_job(element)


def fire(
    moves: Sequence[ToFire],
    *,
    keep: frozenset[State] = EVERYTHING,
    notify: bool = True,
    now: datetime | None = None,
) -> Plan[Fired]:
    """Let schedules go on, and enqueue the jobs of the instants that nobody has dealt with."""
    told = Fired(advanced=(yield advance([each.advance for each in moves])))
    going = [each for each in moves if each.advance.name in told.advanced]
    going.sort(key=lambda each: each.advance.name)
    instants = [Instant(m.advance.name, at, "missed") for m in going for at in m.passed]
    instants += [Instant(m.advance.name, at, "fired") for m in going for at, _ in m.jobs]
    if not instants:
        return told
    keys = [key for each in going if each.jobs for key in _keys(each)]
    dealt = yield fired(instants, keys, now=now)
    new = set(dealt.instants)
    wanted = [
        (each, at, job) for each in going for at, job in each.jobs if (each.advance.name, at) in new
    ]
    yield from _enqueue(told, wanted, dealt.holders, "fired", keep, notify, now)
    return told


def run(
    row: ScheduleRow,
    *,
    force: bool = False,
    keep: frozenset[State] = EVERYTHING,
    notify: bool = True,
    now: datetime | None = None,
) -> Plan[Fired]:
    """Enqueue *row*'s job now, paused or not; unless *force*, not beside an unfinished one."""
    overlap = "allow" if force else row.overlap
    step = ToFire(Advance(row.name, row.revision, None, None, None), overlap=overlap)
    dealt = yield fired([Instant(row.name, None, "manual")], _keys(step), now=now)
    told = Fired()
    for _, at in dealt.instants:
        firing = Scheduled(name=row.name, instant=at, previous=row.last_at, manual=True)
        job = job_for(row, firing)
        if force:
            job = replace(job, unique=None)
        yield from _enqueue(told, [(step, at, job)], dealt.holders, "manual", keep, notify, now)
    return told


def backfill(
    row: ScheduleRow,
    instants: Iterable[datetime],
    *,
    notify: bool = True,
    now: datetime | None = None,
) -> Plan[Fired]:
    """Enqueue a job for each of *instants* that nobody has dealt with, beside each other."""
    told = Fired()
    step = ToFire(Advance(row.name, row.revision, None, None, None))
    dealt = yield fired([Instant(row.name, at, "backfill") for at in instants], now=now)
    wanted = []
    for _, at in sorted(dealt.instants):
        job = job_for(row, Scheduled(name=row.name, instant=at, manual=True))
        wanted.append((step, at, replace(job, unique=None)))
    yield from _enqueue(told, wanted, {}, "backfill", EVERYTHING, notify, now)
    return told


def edit(
    names: Iterable[str],
    edited: Callable[[str, ScheduleRow | None, datetime], ScheduleWrite | None],
    *,
    now: datetime | None = None,
) -> Plan[set[str]]:
    """Write what *edited* makes of each schedule and the store's clock; answer what was written.

    It is called with None for a name that there is no schedule of, and answers None where nothing
    is to be written. It is called again for those that somebody else has written meanwhile.
    """
    written: set[str] = set()
    wanted = sorted(set(names))
    for _ in range(_ROUNDS):
        if not wanted:
            return written
        found = yield schedules(wanted, limit=len(wanted), now=now)
        for row in found.unreadable:
            raise InvalidSchedule(f"{row.name}: its row cannot be read: {row.why}")
        rows = {row.name: row for row in found.rows}
        writes = [
            write
            for name in wanted
            if (write := edited(name, rows.get(name), found.now)) is not None
        ]
        done: set[str] = (yield schedule(writes, now=now)) if writes else set()
        written |= done
        wanted = sorted({write.row.name for write in writes} - done)
    if wanted:
        raise StoreBusy(f"{wanted[0]}: somebody else is writing this schedule; try again")
    return written


def _stuck(row: ScheduleRow | Unreadable, why: str) -> ToFire:
    return ToFire(Advance(row.name, row.revision, row.next_at, None, NEVER, why[:1_000]))


def _keys(each: ToFire) -> tuple[str, ...]:
    """The keys of unfinished jobs among which the next one of a schedule looks for its place."""
    first = overlap_key(each.advance.name)
    return (first, first + _SECOND) if each.overlap in ("next", "replace") else ()


def _twin(key: str) -> str:
    """The other key of the same schedule."""
    return key.removesuffix(_SECOND) if key.endswith(_SECOND) else key + _SECOND


@dataclass(frozen=True, slots=True)
class _Placed:
    """An instant, and its job; or, if it is *skipped*, the job that stands in its way."""

    move: ToFire
    at: datetime
    job: NewJob[Any] | Holder
    skipped: bool = False


def _enqueue(
    told: Fired,
    wanted: Sequence[tuple[ToFire, datetime, NewJob[Any]]],
    holders: dict[str, Holder],
    outcome: FiringOutcome,
    keep: frozenset[State],
    notify: bool,
    now: datetime | None,
) -> Plan[None]:
    """Enqueue the jobs that are *wanted*, each in its place among those of its schedule."""
    if not wanted:
        return
    old = [holders[key].id for key in _held("replace", wanted, holders)]
    if old:
        states = yield cancel(old, reason="replaced by a newer one", keep=keep, now=now)
        # One that is not there has ended since its key was read: then the key is free.
        left = {job for job, state in states.items() if state == State.RUNNING}
        holders = {key: h for key, h in holders.items() if h.id in left or h.id not in old}
    holders, there = yield from _kept(wanted, holders, set(old), now)
    taken: dict[str, NewJob[Any] | Holder] = dict(holders)
    last = {each.advance.name: at for each, at, _ in wanted if each.overlap == "replace"}
    placed = [
        _place(each, at, job, taken, there)
        for each, at, job in wanted
        if last.get(each.advance.name, at) == at
    ]
    newest = {each.move.advance.name: each.job for each in placed}
    placed += [
        _Placed(each, at, newest[each.advance.name], skipped=True)
        for each, at, _ in wanted
        if last.get(each.advance.name, at) != at
    ]
    jobs = [each.job for each in placed if isinstance(each.job, NewJob) and not each.skipped]
    handles = yield from enqueue(jobs, notify=notify, now=now)
    made = {id(job): handle for job, handle in zip(jobs, handles, strict=True)}
    became = [_became(each, made, outcome) for each in placed]
    yield record(became)
    told.became += became
    new = [job for job in jobs if made[id(job)].created]
    told.topics |= {job.queue for job in new if not job.edges and job.run_at is None}
    told.topics |= {DUE for job in new if job.run_at is not None}


def _kept(
    wanted: Sequence[tuple[ToFire, datetime, NewJob[Any]]],
    holders: dict[str, Holder],
    old: set[int],
    now: datetime | None,
) -> Plan[tuple[dict[str, Holder], set[int]]]:
    """Keep from ending who is in the way of the jobs that are *wanted*; answer who has the keys
    now, and which of them exist.

    Who ended before that has freed a key: where both of a schedule seem to be held, and an instant
    would be skipped, they are read again, and who has one by now is kept, too.
    """
    asked, there = set[int](), set[int]()
    for _ in range(_ROUNDS):
        held = _held("next", wanted, holders)
        new = ({holders[key].id for key in held} | old) - asked
        if not new:
            break
        there |= yield hold(sorted(new))
        asked |= new
        full = [key for key in held if _twin(key) in held]
        if not full:
            break
        dealt = yield fired([], full, now=now)
        holders = {key: h for key, h in holders.items() if key not in full} | dealt.holders
    return holders, there


def _held(
    overlap: str,
    wanted: Iterable[tuple[ToFire, datetime, NewJob[Any]]],
    holders: Mapping[str, Holder],
) -> list[str]:
    """The keys, held by unfinished jobs, of the schedules in *wanted* that have this *overlap*."""
    moves = [each for each, _, _ in wanted if each.overlap == overlap]
    return sorted({key for each in moves for key in _keys(each) if key in holders})


def _place(
    each: ToFire,
    at: datetime,
    job: NewJob[Any],
    taken: dict[str, NewJob[Any] | Holder],
    there: set[int],
) -> _Placed:
    """Give *job* a key that is free, and put it behind the job that holds the other one."""
    keys = _keys(each)
    unfinished = [taken[key] for key in keys if key in taken]
    free = [key for key in keys if key not in taken]
    if keys and not free:
        waiting = [h for h in unfinished if isinstance(h, NewJob) or h.state == State.BLOCKED]
        return _Placed(each, at, (waiting or unfinished)[-1], skipped=True)
    if free:
        parents = [h if isinstance(h, NewJob) else h.id for h in unfinished]
        edges = [Edge(p, "run") for p in parents if isinstance(p, NewJob) or p in there]
        job = replace(job, unique=free[0], edges=tuple(edges))
        taken[free[0]] = job
    return _Placed(each, at, job)


def _became(each: _Placed, made: Mapping[int, Handle[Any]], outcome: FiringOutcome) -> Became:
    name, job = each.move.advance.name, each.job
    handle = job if isinstance(job, Holder) else made[id(job)]
    skipped = each.skipped or (isinstance(handle, Handle) and not handle.created)
    return Became(name, each.at, handle.id, "skipped" if skipped else outcome)
