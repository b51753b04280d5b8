"""The job that a log record belongs to: a filter for `logging`, a processor for structlog.

    handler.addFilter(JobFilter())
    structlog.configure(processors=[add_job, structlog.processors.JSONRenderer()])

Every record that is made while a task runs gets job_id, task, queue, attempt and worker, whichever
library makes it; in coroutines, threads and processes alike.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Final

from pgqueue.tasks import current

FIELDS: Final = ("job_id", "task", "queue", "attempt", "worker")


class JobFilter(logging.Filter):
    """Put the running job's fields on each record; None outside of tasks, for format strings.

    It belongs on handlers: a logger's filter does not see what its children log. What a record says
    itself, by `extra=`, stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        job = job_fields()
        for field in FIELDS:
            if getattr(record, field, None) is None:
                setattr(record, field, job.get(field))
        return True


def add_job(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Put the running job's fields into structlog's *event*: a processor, nothing to call."""
    for field, value in job_fields().items():
        event.setdefault(field, value)
    return event


def job_fields() -> dict[str, Any]:
    """Return the running job's fields; empty outside of tasks."""
    job = current.job.get()
    if job is None:
        return {}
    worker = current.worker_id()
    return {
        "job_id": job.id,
        "task": job.task,
        "queue": job.queue,
        "attempt": job.attempt,
        **({} if worker is None else {"worker": worker}),
    }
