"""Who did what, and when."""

from __future__ import annotations

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.page import PAGE_JOBS, Page, View, begins_before
from pgqueue.operations.auditing import AuditEntry, audited


class AuditPage(Page):
    """What was done, the newest first; *older* is where the next page begins."""

    entries: list[AuditEntry]
    target: str
    older: int | None


def audit(access: Access, query: Form) -> View:
    """Return what was done, to *target* if one is given; nothing to a viewer of some queues."""
    before = begins_before(query)
    target = query.text("target")
    if not access.sees_all:
        return AuditPage([], target, None)
    found: list[AuditEntry] = yield audited(
        before=before, target=target or None, limit=PAGE_JOBS + 1
    )
    older = found[PAGE_JOBS - 1].id if len(found) > PAGE_JOBS else None
    return AuditPage(found[:PAGE_JOBS], target, older)
