"""Act on many jobs, by their ids or by a filter, portion by portion; each portion is atomic.

A filter's jobs are chosen and acted on in portions. Jobs that are enqueued after the first portion
was chosen are left alone, so that the walk ends. After an interruption the finished portions stay
done, and a second call does the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from pgqueue.jobs.filters import UNFINISHED, WAITING, Filter
from pgqueue.jobs.job import FINISHED, Handle, Job, State, job_id
from pgqueue.operations import control, inspections
from pgqueue.operations.auditing import audit
from pgqueue.operations.choosing import PORTION, ChosenJob, Place, choose
from pgqueue.operations.enqueueing import wake
from pgqueue.operations.finishing import Released, release
from pgqueue.operations.operation import Operation, Plan
from pgqueue.operations.params import EVERYTHING
from pgqueue.operations.topics import of_worker

Which: TypeAlias = Filter | Iterable[int | Handle[Any]]
Answers: TypeAlias = dict[int, str]


class Act(NamedTuple):
    """Something that can be done to jobs.

    *do* answers with a word for each job that it found; *done* are the words for success; *states*
    are those of a filter that names none; *newest*: children before their parents. *days*: where a
    store has days of finished jobs, those that are old enough go as a whole. *to* and *reason* are
    for the note in the audit.
    """

    name: str
    do: Callable[[Sequence[ChosenJob], Collection[State] | None], Plan[Answers]]
    done: frozenset[str]
    states: Sequence[State]
    newest: bool = False
    days: bool = False
    to: str | None = None
    reason: str | None = None


class Portion(NamedTuple):
    """The answers for the jobs of one step, and where the next step begins.

    *day*: a whole day of so many jobs has gone.
    """

    jobs: list[ChosenJob]
    answers: Answers
    rest: Place | None
    day: int | None = None


class Acted(msgspec.Struct, frozen=True):
    """The answer for each job that was found: "cancelled" or "running", "available" or "held".

    *days*: how many more have gone with their days, as a whole.
    """

    answers: dict[int, str] = {}
    days: int = 0

    @property
    def counts(self) -> Counter[str]:
        """How many jobs got each answer."""
        return Counter(self.answers.values()) + Counter(purged=self.days)


class Number(NamedTuple):
    """How many *jobs* a filter means; not *exact* when there are more than were counted."""

    jobs: int
    exact: bool

    def __str__(self) -> str:
        return f"{self.jobs:,}" if self.exact else f"≥ {self.jobs:,}"


COUNTED: Final = 10_000
NAMED: Final = 20
"""The most ids that a note in the audit names."""


def cancelling(
    reason: str | None = None,
    *,
    keep: frozenset[State] = EVERYTHING,
    now: datetime | None = None,
) -> Act:
    """Cancel waiting jobs; ask running ones to stop, which answer ``running``."""

    def do(jobs: Sequence[ChosenJob], states: Collection[State] | None) -> Plan[Answers]:
        told = yield control.cancel(_ids(jobs), states=states, reason=reason, keep=keep, now=now)
        return {id: str(state) for id, state in told.items()}

    done = frozenset({State.CANCELLED, State.RUNNING})
    return Act("cancel", do, done, UNFINISHED, newest=True, reason=reason)


def retrying(*, keep: frozenset[State] = EVERYTHING, now: datetime | None = None) -> Act:
    """Make finished jobs available again, and jobs that are due later available now."""

    def do(jobs: Sequence[ChosenJob], states: Collection[State] | None) -> Plan[Answers]:
        told: Answers = yield control.retry(_ids(jobs), keep=keep, now=now)
        return told

    return Act("retry", do, frozenset({State.AVAILABLE, State.BLOCKED}), (State.DISCARDED,))


def releasing(*, keep: frozenset[State] = EVERYTHING, now: datetime | None = None) -> Act:
    """Take running jobs from their workers, which are told; the attempt is not spent."""

    def do(jobs: Sequence[ChosenJob], states: Collection[State] | None) -> Plan[Answers]:
        held = [Released(job.id, job.lease) for job in jobs if job.lease is not None]
        told = yield release(held, keep=keep, now=now)
        taken = {id for id, _ in told}
        workers = {job.worker for job in jobs if job.id in taken and job.worker is not None}
        if workers:
            yield wake([of_worker(worker) for worker in sorted(workers)])
        return {id: str(state) for (id, _), state in told.items()}

    done = frozenset({State.AVAILABLE, State.CANCELLED})
    return Act("release", do, done, (State.RUNNING,))


def moving(queue: str | None = None, priority: int | None = None) -> Act:
    """Move waiting jobs to another queue, or give them another priority, with new places there."""

    def do(jobs: Sequence[ChosenJob], states: Collection[State] | None) -> Plan[Answers]:
        told = yield control.move(_ids(jobs), queue=queue, priority=priority)
        return {id: str(state) for id, state in told.items()}

    if priority is None:
        return Act("move", do, frozenset(WAITING), WAITING, to=f"queue {queue}")
    return Act("reprioritise", do, frozenset(WAITING), WAITING, to=f"priority {priority}")


def purging() -> Act:
    """Delete finished jobs, whatever their retention."""

    def do(jobs: Sequence[ChosenJob], states: Collection[State] | None) -> Plan[Answers]:
        told: Answers = yield control.purge(_ids(jobs))
        return told

    return Act("purge", do, frozenset({"purged"}), sorted(FINISHED), newest=True, days=True)


def portion(
    act: Act, filter: Filter, place: Place, *, limit: int = PORTION, now: datetime | None = None
) -> Plan[Portion]:
    """Do *act* to the next jobs that *filter* means, from *place* on."""
    chosen = yield choose(
        filter, states=act.states, newest=act.newest, place=place, limit=limit, now=now
    )
    answers: Answers = {}
    if chosen.jobs:
        answers = yield from act.do(chosen.jobs, filter.states or act.states)
    return Portion(chosen.jobs, answers, chosen.rest)


def portion_of(act: Act, ids: Sequence[int]) -> Plan[Portion]:
    """Do *act* to the jobs *ids*, whatever their state."""
    jobs = [ChosenJob(id, State.AVAILABLE) for id in ids]
    if act.states == (State.RUNNING,):
        found = yield inspections.get(ids)
        jobs = [ChosenJob(job.id, job.state, job.lease, job.worker) for job in found.values()]
        jobs = [job for job in jobs if job.state == State.RUNNING]
    answers = yield from act.do(jobs, None)
    return Portion(jobs, answers, None)


def day(
    act: Act, filter: Filter, older: timedelta, *, now: datetime | None = None
) -> Plan[Portion]:
    """Do *act* to the oldest day that *filter* means all of."""
    states = [state for state in filter.states or act.states if state.finished]
    count = yield control.purge_day(states, older, now=now)
    return Portion([], {}, None, count)


Step: TypeAlias = Callable[[], Plan[Portion]]


def steps(
    act: Act,
    which: Which,
    *,
    partitions: bool = False,
    who: str | None = None,
    now: datetime | None = None,
) -> Generator[Step, Portion, Acted]:
    """Do *act* to all that *which* means: yield what is to be done next, and be sent its portion.

    Each step is atomic in a transaction of its own, and may be tried again. *partitions*: the store
    has days that can go as a whole. *who*: each step notes that they did it, in its transaction.
    """
    answers: Answers = {}
    days = 0
    if isinstance(which, Filter):
        if partitions and act.days and (older := which.only_age) is not None:
            by_day = noted(act, partial(day, act, which, older, now=now), who, which)
            while (gone := (yield by_day)).day is not None:
                days += gone.day
        place: Place | None = Place()
        while place is not None:
            done = yield noted(act, partial(portion, act, which, place, now=now), who, which)
            answers |= done.answers
            place = done.rest
    else:
        for ids in slices(which, newest=act.newest):
            done = yield noted(act, partial(portion_of, act, ids), who)
            answers |= done.answers
    return Acted(answers, days)


def whole(
    act: Act, which: Which, *, who: str | None = None, now: datetime | None = None
) -> Plan[Acted]:
    """Do *act* to all that *which* means, in the transaction in which the plan is carried out."""
    walk = steps(act, which, who=who, now=now)
    try:
        step = next(walk)
        while True:
            done = yield from step()
            step = walk.send(done)
    except StopIteration as end:
        acted: Acted = end.value
        return acted


def noted(act: Act, step: Step, who: str | None, filter: Filter | None = None) -> Step:
    """Return *step*, which then notes that *who* did *act*, and to which jobs; nobody: *step*.

    A step that has found no job is not noted.
    """
    if who is None:
        return step

    def then_noted() -> Plan[Portion]:
        done = yield from step()
        if done.answers or done.day is not None:
            yield _note(act, done, who, filter)
        return done

    return then_noted


def _note(act: Act, done: Portion, who: str, filter: Filter | None) -> Operation[None]:
    ids = sorted(done.answers)
    counts = Counter(done.answers.values()) + Counter(purged=done.day or 0)
    answer = ", ".join(f"{count:,} {answer}" for answer, count in sorted(counts.items()))
    meant = filter.words() or "that there are" if filter is not None else None
    if filter is None and len(ids) > 1:
        meant = ", ".join(map(str, ids[:NAMED])) + (", …" if len(ids) > NAMED else "")
    return audit(
        who,
        act.name,
        target=f"job {ids[0]}" if filter is None and len(ids) == 1 else None,
        filter=meant,
        count=counts.total(),
        answer=answer if act.to is None else f"to {act.to}: {answer}",
        reason=act.reason,
    )


def slices(which: Iterable[int | Handle[Any]], *, newest: bool = False) -> Iterator[list[int]]:
    """Yield the ids of *which*, each once, a portion at a time."""
    ids = sorted({job_id(job) for job in which}, reverse=newest)
    for start in range(0, len(ids), PORTION):
        yield ids[start : start + PORTION]


def counting(
    filter: Filter,
    states: Sequence[State] = tuple(State),
    *,
    most: int = COUNTED,
    until: Callable[[], bool] = lambda: False,
) -> Plan[Number]:
    """Count the jobs that *filter* means, up to *most*, or until *until* says that it is enough."""
    count, place = 0, Place()
    while True:
        chosen = yield choose(filter, states=states, place=place, limit=most - count)
        count += len(chosen.jobs)
        if chosen.rest is None:
            return Number(count, True)
        if count >= most or until():
            return Number(count, False)
        place = chosen.rest


def listing(filter: Filter, *, before: int | None = None, limit: int = 50) -> Plan[list[Job]]:
    """Read the jobs that *filter* means, the newest first; *before* an id for the next page."""
    chosen_ids, jobs = 0, list[Job]()
    place: Place | None = Place(until=None if before is None else before - 1)
    while place is not None and chosen_ids < limit:
        some = min(PORTION, limit - chosen_ids)
        chosen = yield choose(filter, newest=True, place=place, limit=some)
        ids = _ids(chosen.jobs)
        found = yield inspections.get(ids)
        jobs += [found[id] for id in ids if id in found]
        chosen_ids, place = chosen_ids + len(ids), chosen.rest
    return jobs


def _ids(jobs: Sequence[ChosenJob]) -> list[int]:
    return [job.id for job in jobs]
