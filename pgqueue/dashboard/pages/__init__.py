"""What each page shows: one generator a page, which yields operations and returns a value."""

from pgqueue.dashboard.pages.audit import audit
from pgqueue.dashboard.pages.bridges import bridges
from pgqueue.dashboard.pages.charting import task
from pgqueue.dashboard.pages.enqueueing import edit_form, enqueue_form
from pgqueue.dashboard.pages.failed import failures
from pgqueue.dashboard.pages.jobs import job, jobs
from pgqueue.dashboard.pages.overview import overview
from pgqueue.dashboard.pages.page import NoSuchPage, Page, View
from pgqueue.dashboard.pages.queues import limits, queue, workers
from pgqueue.dashboard.pages.schedules import list_schedules, schedule
from pgqueue.dashboard.pages.system import system
from pgqueue.dashboard.pages.workflows import WorkflowPage, workflow, workflows

__all__ = [
    "NoSuchPage",
    "Page",
    "View",
    "WorkflowPage",
    "audit",
    "bridges",
    "edit_form",
    "enqueue_form",
    "failures",
    "job",
    "jobs",
    "limits",
    "list_schedules",
    "overview",
    "queue",
    "schedule",
    "system",
    "task",
    "workers",
    "workflow",
    "workflows",
]
