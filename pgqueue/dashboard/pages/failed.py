"""The jobs that have failed, in groups: the newest first, a bounded number of them a page."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.charting import charted
from pgqueue.dashboard.pages.groups import FailureGroup, grouped
from pgqueue.dashboard.pages.jobs import mark_of, text_of
from pgqueue.dashboard.pages.page import NoSuchPage, Page, View
from pgqueue.dashboard.pages.seeing import STATEMENT, narrowed, seen
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import State
from pgqueue.operations import Plan
from pgqueue.operations.browsing import BriefJob, Browsed, Mark, Order, browse
from pgqueue.views.charts import Chart

PORTION: Final = 100
"""So many are read at once: each one's errors may lie in a dozen blocks of their own."""
PORTIONS: Final = 5
LOOK_DUE: Final = 500
"""So many are looked at for a portion of what is due next: each may lie in a block of its own."""
TRACE: Final = 1_000
NO_MORE: Final = "none"
ORDERS: Final[dict[State, Order]] = {State.DISCARDED: "newest", State.RETRYABLE: "due"}


class Reach(Page):
    """How far a page has seen: so many jobs of the viewer's were *looked* at, up to the instant
    *seen_to*.

    *rest*: where the next page begins; None: there is no more.
    """

    looked: int = 0
    seen_to: datetime | None = None
    rest: str | None = None


class FailuresPage(Page):
    """Groups of failed jobs: discarded ones, the newest first, and those that will be tried again,
    as they are due. *older*: what the next page is asked for, None if there is none. *chart*: how
    many attempts failed, and when, as workers have counted them."""

    groups: list[FailureGroup]
    discarded: Reach
    retryable: Reach
    older: dict[str, str] | None
    chart: Chart


def failures(access: Access, query: Form) -> View:
    """Return failed jobs in groups, from the places on that the address names."""
    found: list[BriefJob] = []
    reached: dict[str, Reach] = {}
    for state, order in ORDERS.items():
        place = query.text(state)
        try:
            after = None if place == NO_MORE else mark_of(place)
        except ValueError as error:
            raise NoSuchPage(str(error)) from None
        reached[state] = Reach()
        if place != NO_MORE:
            some, reached[state] = yield from _some(access, state, order, after)
            found += some
    discarded, retryable = reached[State.DISCARDED], reached[State.RETRYABLE]
    older = None
    if discarded.rest or retryable.rest:
        older = {str(state): reach.rest or NO_MORE for state, reach in reached.items()}
    chart = yield from charted(access, query)
    return FailuresPage(grouped(found), discarded, retryable, older, chart)


def _some(
    access: Access, state: State, order: Order, after: Mark | None
) -> Plan[tuple[list[BriefJob], Reach]]:
    jobs: list[BriefJob] = []
    looked = 0
    filter = narrowed(access, Filter(state=state)) or Filter(state=state)
    look = LOOK_DUE if order == "due" else STATEMENT
    for _ in range(PORTIONS):
        page: Browsed = yield browse(
            filter, order=order, after=after, limit=PORTION, look=look, trace=TRACE
        )
        own = seen(access, page.jobs)
        jobs += own
        looked += page.looked if access.sees_all else len(own)
        after = page.rest
        if after is None:
            break
    seen_to = None
    if jobs:
        seen_to = jobs[-1].run_at if order == "due" else jobs[-1].finished_at
    return jobs, Reach(looked, seen_to, text_of(after))
