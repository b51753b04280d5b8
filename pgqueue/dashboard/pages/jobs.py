"""Jobs: a list that can be filtered, and one of them."""

from __future__ import annotations

from typing import Final

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.page import PAGE_JOBS, NoSuchPage, Page, View
from pgqueue.dashboard.pages.seeing import browsed, seen, situation_of, unblamed
from pgqueue.dashboard.pages.timeline import Event, timeline
from pgqueue.doctor.why import sentence
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import Job, State
from pgqueue.operations import Plan, inspections
from pgqueue.operations.browsing import LOOK, BriefJob, Mark, Order
from pgqueue.operations.inspections import ParentResult

RUNS: Final = 60
LOOK_RUNS: Final = 2_000
LOOK_DUE: Final = 1_500
"""What is due next lies anywhere in a store: each row may be a block of its own."""
DUE: Final = frozenset({State.SCHEDULED, State.RETRYABLE})


class JobsPage(Page):
    """One page of jobs in the *order* newest, next or due; *older* is where the next one begins.

    *short*: it is not full, and there are more; then so many of the viewer's were *looked* at.
    """

    jobs: list[BriefJob]
    filters: dict[str, str]
    words: str
    order: Order
    older: str | None
    short: bool
    looked: int


class Run(Page):
    """One job of a task, as a dot."""

    id: int
    state: State


class JobPage(Page):
    """Everything about one job; *why* is the sentence of `pgqueue why`, *runs* its task's last."""

    job: Job
    why: str
    parents: list[ParentResult]
    children: list[Job]
    runs: list[Run]
    timeline: list[Event]


def jobs(access: Access, query: Form) -> View:
    """Return the jobs that the form's filter means, after the mark *before*."""
    try:
        filter, after = query.filter(), mark_of(query.text("before"))
    except ValueError as error:
        raise NoSuchPage(str(error)) from None
    order = _order(filter)
    look = LOOK_DUE if order == "due" else LOOK
    found = yield from browsed(access, filter, order=order, after=after, limit=PAGE_JOBS, look=look)
    short = found.rest is not None and len(found.jobs) < PAGE_JOBS
    return JobsPage(
        found.jobs,
        query.filters(),
        filter.words(),
        order,
        text_of(found.rest),
        short,
        found.looked,
    )


def job(access: Access, query: Form, id: int) -> View:
    """Return everything about job *id*. Raises NoSuchPage."""
    situation = yield inspections.why(id)
    if situation is None or not access.sees(situation.job.queue):
        raise NoSuchPage(f"no job {id}; it may be past its retention")
    # With its arguments, which `why` leaves out.
    found: dict[int, Job] = yield inspections.get([id])
    parents: list[ParentResult] = yield inspections.parents([id], limit=100)
    graph: inspections.GraphView = yield inspections.graph(job=id, limit=100)
    below = {edge.child for edge in graph.edges if edge.parent == id}
    own = seen(access, graph.jobs)
    known = {each.id for each in own}
    runs = yield from _runs(access, situation.job.task)
    job = unblamed(access, found.get(id, situation.job), known)
    return JobPage(
        job,
        sentence(situation_of(access, situation, known)),
        [parent for parent in parents if access.sees_all or parent.parent in known],
        [each for each in own if each.id in below],
        runs,
        timeline(job),
    )


def _runs(access: Access, task: str) -> Plan[list[Run]]:
    """The newest jobs of *task*, the oldest of them first; none of a name written by hand."""
    try:
        filter = Filter(task=task)
    except ValueError:
        return []
    same = yield from browsed(access, filter, limit=RUNS, look=LOOK_RUNS)
    return [Run(each.id, each.state) for each in reversed(same.jobs)]


def _order(filter: Filter) -> Order:
    """The natural order: of what waits in one queue its claims', of what waits for its time that.

    A filter that such an order cannot have gets the newest first.
    """
    bare = Filter(queue=filter.queue, key=filter.key, state=filter.state)
    if filter.states == (State.AVAILABLE,) and filter.queue is not None and filter == bare:
        return "next"
    return "due" if filter.states and set(filter.states) <= DUE else "newest"


def mark_of(text: str) -> Mark | None:
    """Read where a page begins: a number, and in some orders a priority or an instant."""
    if not text:
        return None
    number, _, rest = text.partition(" ")
    priority, _, at = rest.partition(" ")
    try:
        if len(number) > 18 or len(priority) > 11:
            raise ValueError
        return Mark(int(number), int(priority or 0), at or None)
    except ValueError:
        raise ValueError(f"before: {text!r:.60} is no place in a list") from None


def text_of(mark: Mark | None) -> str | None:
    return None if mark is None else f"{mark.number} {mark.priority} {mark.at or ''}".rstrip()
