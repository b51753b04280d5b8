"""Graphs with a name, and one of them."""

from __future__ import annotations

from typing import Final

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.page import PAGE_JOBS, NoSuchPage, Page, View, begins_before
from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from pgqueue.operations.inspections import GraphView, WorkflowSummary

MOST_IN_GRAPH: Final = 1_000
_FAILED_FIRST: Final = (State.DISCARDED, State.CANCELLED, State.RETRYABLE, State.RUNNING)


class WorkflowsPage(Page):
    """Graphs with a name, the newest first."""

    workflows: list[WorkflowSummary]
    older: int | None


class WorkflowPage(Page):
    """One graph: its jobs, failed ones first, and the edges."""

    workflow: WorkflowSummary
    graph: GraphView


def workflows(access: Access, query: Form) -> View:
    """Return graphs by *name*, older than *before*; none to a viewer of some queues only."""
    if not access.sees_all:
        return WorkflowsPage([], None)
    before = begins_before(query)
    found: list[WorkflowSummary] = yield inspections.workflows(
        name=query.text("name") or None, before=before, limit=PAGE_JOBS + 1
    )
    older = found[PAGE_JOBS - 1].id if len(found) > PAGE_JOBS else None
    return WorkflowsPage(found[:PAGE_JOBS], older)


def workflow(access: Access, query: Form, id: int) -> View:
    """Return one graph. Raises NoSuchPage."""
    found: list[WorkflowSummary] = yield inspections.workflows(id=id, limit=1)
    if not found or not access.sees_all:
        raise NoSuchPage(f"no workflow {id}")
    graph: GraphView = yield inspections.graph(workflow=id, limit=MOST_IN_GRAPH)
    order = {state: n for n, state in enumerate(_FAILED_FIRST)}
    graph.jobs.sort(key=lambda job: (order.get(job.state, len(order)), job.id))
    return WorkflowPage(found[0], graph)
