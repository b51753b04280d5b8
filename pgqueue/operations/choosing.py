"""Read the jobs that match a filter, a portion at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pgqueue.jobs import checks
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import State
from pgqueue.operations.operation import Answers, Operation, Param
from pgqueue.operations.params import as_json, boolean, instant, number

PORTION = 500
LOOK = 10_000


class ChosenJob(NamedTuple):
    """A job that a filter means; *lease* and *worker* are a running one's."""

    id: int
    state: State
    lease: int | None = None
    worker: int | None = None


class Place(NamedTuple):
    """How far a walk has come: ids above *after*, up to *until*, are still to be looked at.

    Without *until* it begins, and takes all that there are at that moment.
    """

    after: int = 0
    until: int | None = None


class Chosen(NamedTuple):
    """A portion of what a filter means; *rest* is None when there is no more."""

    jobs: list[ChosenJob]
    rest: Place | None


def choose(
    filter: Filter,
    *,
    states: Sequence[State] = tuple(State),
    newest: bool = False,
    place: Place = Place(),  # noqa: B008  it cannot be changed
    limit: int = PORTION,
    look: int = LOOK,
    now: datetime | None = None,
) -> Operation[Chosen]:
    """Choose up to *limit* jobs that *filter* means, looking at *look* rows at the most.

    The oldest come first, or the *newest*. *states*: those of a filter that names none. Ask again
    with the *rest* for the next portion: jobs enqueued after the first one are left out.
    """

    def decode(answers: Answers) -> Chosen:
        rows = answers[-1]
        jobs = [ChosenJob(id, State(state), *held) for id, state, *held in rows if id is not None]
        jobs.sort(reverse=newest)
        [(came_to, until)] = [row[2:] for row in rows if row[0] is None]
        if came_to is None:
            return Chosen(jobs, None)
        rest = Place(place.after, came_to - 1) if newest else Place(came_to, until)
        return Chosen(jobs, rest)

    params = {
        **filter_params(filter, filter.states or states),
        "newest": boolean(newest),
        "after": str(place.after),
        "until": number(place.until),
        "limit": str(limit),
        "look": str(look),
        "now": instant(now),
    }
    return Operation("choose", params, decode)


def filter_params(filter: Filter, states: Iterable[State]) -> dict[str, Param]:
    """Return what a statement is told of *filter*, whose jobs are in one of *states*."""
    return {
        "states": as_json(sorted(states)),
        "queue": filter.queue,
        "task": filter.task,
        "tag": filter.tag,
        "key": filter.key,
        "workflow": number(filter.workflow),
        "error": filter.error,
        "args": as_json(filter.contained) if filter.args else None,
        "older_seconds": _seconds(filter.older_than),
        "newer_seconds": _seconds(filter.newer_than),
        "running_seconds": _seconds(filter.running_longer_than),
    }


def _seconds(duration: timedelta | float | None) -> str | None:
    return None if duration is None else str(checks.to_duration(duration).total_seconds())
