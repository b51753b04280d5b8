"""Jobs as Django's ORM reads them: the view over unfinished and finished jobs."""

from __future__ import annotations

from typing import Any

from django.db import connections, models

from pgqueue.contrib.django import configured
from pgqueue.jobs.job import State


def view() -> str:
    """Return the view's name as SQL has it, in the database that TASKS names first."""
    alias = configured.database()
    schema = configured.schema_of(alias)
    postgres = alias not in connections.settings or connections[alias].vendor != "sqlite"
    return f'"{schema}"."jobs"' if postgres else f'"{schema}_jobs"'


class Job(models.Model):
    """A job, read only: only `pgqueue.operations` may change it."""

    id = models.BigIntegerField(primary_key=True)
    task = models.TextField()
    state = models.TextField(choices=[(state.value, state.value) for state in State])
    queue = models.TextField()
    key = models.TextField(null=True)
    priority = models.SmallIntegerField()
    args = models.JSONField()
    attempt = models.SmallIntegerField()
    max_attempts = models.SmallIntegerField()
    run_at = models.DateTimeField()
    enqueued_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    worker = models.IntegerField(null=True)
    unique_key = models.TextField(null=True)
    reason = models.TextField(null=True)
    result = models.JSONField(null=True)
    errors = models.JSONField(null=True)
    progress = models.JSONField(null=True)
    metadata = models.JSONField(null=True)
    workflow = models.BigIntegerField(null=True)

    class Meta:
        managed = False
        db_table = view()
        default_permissions = ("view",)
        permissions = (("cancel_job", "Can cancel jobs"), ("retry_job", "Can retry jobs"))

    def __str__(self) -> str:
        return f"job {self.id}, {self.task}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("a job is enqueued by its task, and changed by pgqueue.operations")
