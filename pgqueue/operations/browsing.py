"""Lists of jobs as people look through them: brief, and at a price that no filter can raise."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from pgqueue.errors import InvalidFilter
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import State
from pgqueue.operations.choosing import filter_params
from pgqueue.operations.inspections import presented
from pgqueue.operations.operation import Answers, Operation
from pgqueue.operations.params import instant, number

Order: TypeAlias = Literal["newest", "next", "due"]
LOOK: Final = 20_000
_DUE: Final = (State.SCHEDULED, State.RETRYABLE)


class BriefJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as a line of a list.

    *args*: the first 200 characters of their JSON; None where they are so large that a store would
    have to fetch them from elsewhere. *error*: the last one's type and message, cut likewise, its
    instant, and as much of its traceback as was asked for: the end, without the message.
    """

    id: int
    task: str
    state: State
    queue: str
    priority: int
    position: int | None = None
    attempt: int
    max_attempts: int
    rescues: int = 0
    run_at: datetime
    enqueued_at: datetime
    claimed_at: datetime | None = None
    finished_at: datetime | None = None
    worker: int | None = None
    unique_key: str | None = None
    key: str | None = None
    blocked_by: int = 0
    cancel_requested: bool = False
    reason: str | None = None
    tags: tuple[str, ...] = ()
    workflow: int | None = None
    args: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    error_at: datetime | None = None
    error_trace: str | None = None


class Mark(NamedTuple):
    """Where a page begins: after this job, in the page's order."""

    number: int
    """An id; in the order *next* a position."""
    priority: int = 0
    at: str | None = None


class Browsed(NamedTuple):
    """A page of jobs, found among so many that were *looked* at.

    *rest*: where the next page begins, None when there is no more. A page may be short, or empty,
    and have a rest: then no more were to be looked at.
    """

    jobs: list[BriefJob]
    looked: int
    rest: Mark | None


def browse(
    filter: Filter = Filter(),  # noqa: B008  it cannot be changed
    *,
    order: Order = "newest",
    after: Mark | None = None,
    limit: int = 50,
    look: int = LOOK,
    trace: int | None = None,
    now: datetime | None = None,
) -> Operation[Browsed]:
    """List *limit* jobs that *filter* means, looking at *look* jobs at the most; at fewer, where a
    store would have to fetch many large errors or arguments from elsewhere to do so.

    The *newest* come first; or, in the order *due*, those that are due next, of all that are
    scheduled or retryable; or those of one queue that run *next*, in the order of their claims: the
    filter gives the queue, and perhaps a key, and of a queue with many keys the first 20 are seen.
    *trace*: so many characters of the last traceback, where its last frames are.
    Raises InvalidFilter for a filter that an order cannot have.
    """
    states = _states(filter, order)

    def decode(answers: Answers) -> Browsed:
        jobs, looked, rest = [], 0, None
        for text, *place in answers[-1]:
            if text is not None:
                jobs.append(presented(text, BriefJob))
            elif place[0] is not None:
                looked = int(place[0])
                rest = None if place[1] is None else Mark(int(place[1]), int(place[2]), place[3])
        return Browsed(jobs, looked, rest)

    params = {
        "order": order,
        **filter_params(filter, states),
        "after": None if after is None else str(after.number),
        "after_priority": None if after is None else str(after.priority),
        "after_at": None if after is None else after.at,
        "limit": str(limit),
        "look": str(look),
        "trace": number(trace),
        "now": instant(now),
    }
    return Operation("browse", params, decode)


def _states(filter: Filter, order: Order) -> tuple[State, ...]:
    given = filter.states
    if order == "next":
        bare = Filter(queue=filter.queue, key=filter.key, state=filter.state)
        if filter.queue is None or filter != bare or set(given) - {State.AVAILABLE}:
            raise InvalidFilter("what runs next is listed of one queue, and perhaps of one key")
        return (State.AVAILABLE,)
    if order == "due":
        if set(given) - set(_DUE):
            raise InvalidFilter("only scheduled and retryable jobs are listed by when they are due")
        return given or _DUE
    return given or tuple(State)
