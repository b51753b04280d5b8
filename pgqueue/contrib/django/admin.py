"""The queue in Django's admin: a list, a page a job, and two actions with rights of their own."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db import connections
from django.http import HttpRequest

from pgqueue import backends, operations
from pgqueue.contrib.django import configured
from pgqueue.contrib.django.database import recognise
from pgqueue.contrib.django.models import Job
from pgqueue.doctor.why import sentence
from pgqueue.operations import Operation, inspections

MOST_COUNTED = 1_000


class Counted(Paginator):
    """Pages of a table that may be long: rows are counted up to a thousand, then no further."""

    @cached_property
    def count(self) -> int:
        ids = self.object_list.order_by().values_list("pk")[: MOST_COUNTED + 1]
        return len(ids)


def execute(operation: Operation[Any]) -> Any:
    """Carry out *operation* in the transaction of Django's connection."""
    alias = configured.database()
    found = recognise(connections[alias])
    assert found is not None
    backend = backends.attached(found.store, configured.schema_of(alias))
    with backend.on(found.driver(), single=True) as runner:
        return runner.execute(operation)


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):
    """Reads, cancels and retries; adds, changes and deletes nothing."""

    list_display = ("id", "task", "state", "queue", "priority", "attempt", "run_at", "finished_at")
    list_filter = ("state",)
    search_fields = ("task",)
    search_help_text = "A job's id, or the whole name of its task"
    ordering = ("-id",)
    sortable_by = ()
    list_per_page = 50
    show_full_result_count = False
    paginator = Counted
    actions = ("cancel", "retry")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Without arguments and results, which may be a mebibyte each."""
        return self._jobs().only(*self.list_display).order_by("-id")

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """Return the whole job, for its page."""
        return self._jobs().filter(pk=int(object_id)).first() if object_id.isdigit() else None

    def _jobs(self) -> Any:
        return Job._default_manager.using(configured.database())

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """Find by equality only: an index serves that, or the search ends with the page."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.isascii() and term.isdigit():
            return queryset.filter(pk=min(int(term), 2**63 - 1)), False
        return queryset.filter(task=term), False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("why", *(field.name for field in Job._meta.fields))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_readonly_fields(request, obj)

    @admin.display(description="why")
    def why(self, job: Job) -> str:
        """Why the job is not running, or how it ended."""
        situation = execute(inspections.why(job.id))
        return "" if situation is None else sentence(situation)

    @admin.action(permissions=["cancel"], description="Cancel selected jobs")
    def cancel(self, request: HttpRequest, queryset: Any) -> None:
        """Cancel waiting jobs; ask running ones to stop."""
        ids = list(queryset.values_list("pk", flat=True)[:MOST_COUNTED])
        states = execute(operations.cancel(ids, reason=f"cancelled by {request.user}"))
        stopping = sum(state == "running" for state in states.values())
        self.message_user(
            request,
            f"{len(states) - stopping} cancelled, {stopping} asked to stop",
            messages.SUCCESS,
        )

    @admin.action(permissions=["retry"], description="Run selected jobs again, or now")
    def retry(self, request: HttpRequest, queryset: Any) -> None:
        """Make finished jobs, and jobs due later, available now."""
        ids = list(queryset.values_list("pk", flat=True)[:MOST_COUNTED])
        answers = execute(operations.retry(ids))
        self.message_user(request, f"{len(answers)} asked to run", messages.SUCCESS)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("pgqueue.cancel_job"))

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("pgqueue.retry_job"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
