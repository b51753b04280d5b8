"""Tests of a Django project: what its code has enqueued, and what that does when it runs.

    class OrderTests(JobsMixin, TestCase):
        def test_a_receipt_is_sent(self) -> None:
            self.client.post("/orders/", {"book": 7})
            self.jobs.assert_enqueued(send_receipt, order_id=1)
            self.jobs.drain()
            self.assertEqual(len(mail.outbox), 1)

Jobs are rows that the test's own transaction has written; they run on its connection, and go with
it. docs/testing.md is the manual.
"""

from __future__ import annotations

import asyncio
import difflib
import inspect
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec
from asgiref.sync import async_to_sync
from django.db import connections
from django.utils.module_loading import import_string

from pgqueue.contrib.django.care import in_a_test
from pgqueue.contrib.django.documents import call_of
from pgqueue.contrib.django.keys import by_name
from pgqueue.contrib.django.queue_app import DjangoApp, default_app
from pgqueue.contrib.django.tasks_api import Task
from pgqueue.jobs.job import Job
from pgqueue.testing import Clock, Jobs

if TYPE_CHECKING:
    from unittest import TestCase as _Case
else:
    _Case = object

R = TypeVar("R")


class DjangoJobs(Jobs):
    """The jobs that a test sees on Django's connection: `pgqueue.testing.Jobs`, which knows
    Django's tasks too."""

    def __init__(self, app: DjangoApp | None = None, *, clock: Clock | None = None) -> None:
        app = app or default_app()
        super().__init__(app, connections[app.database], clock=clock)

    def assert_enqueued(self, task: Any, /, **expected: Any) -> Any:
        """Return the one job of *task* that waits with these arguments, as `Jobs` does.

        Of a task of Django's, arguments are compared by name, however they were given.
        """
        return super().assert_enqueued(self._known(task, expected), **expected)

    def refute_enqueued(self, task: Any = None, /, **expected: Any) -> None:
        """Raise AssertionError if a job waits that `assert_enqueued` would find."""
        super().refute_enqueued(self._known(task, expected), **expected)

    def enqueued(self, task: Any = None, *, queue: str | None = None) -> list[Job]:
        """Return all jobs that wait, in the order in which they were enqueued."""
        return super().enqueued(self._known(task, {}), queue=queue)

    def drain(self, **options: Any) -> Any:
        """Run what is due on the test's connection, as `Jobs` does; coroutines by async_to_sync."""
        token = in_a_test.set(True)
        try:
            with self.bound():
                return super().drain(**options)
        finally:
            in_a_test.reset(token)

    def _loops(self) -> Any:
        return _Bridge()

    def _known(self, task: Any, expected: dict[str, Any]) -> Any:
        if not isinstance(task, Task):
            return task
        taken = inspect.signature(task.func).parameters
        if not any(each.kind is each.VAR_KEYWORD for each in taken.values()):
            for name in expected.keys() - {"queue", "count", "within"} - taken.keys():
                near = difflib.get_close_matches(name, taken, 1)
                hint = f"; did you mean {near[0]}?" if near else f", it has {', '.join(taken)}"
                raise TypeError(f"{task.module_path} has no argument {name}{hint}")
        return self.app.find(task.module_path)

    def _read(self, plan: Generator[Any, Any, R]) -> R:
        found: Any = super()._read(plan)  # R is a list of jobs, which a checker cannot know
        return [_by_name(job) for job in found]  # type: ignore[return-value]  # R is list[Job]


class _Bridge:
    """Runs coroutines so that the blocking code in them has the test's own thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def runner(self) -> _Bridge:
        return self

    def run(self, work: Coroutine[Any, Any, R], *, context: Context | None = None) -> R:
        async def awaited() -> R:
            return await asyncio.create_task(work, context=context)

        answer: R = async_to_sync(awaited)()
        return answer


def _by_name(job: Job) -> Job:
    """Return *job* with all of its arguments by name, if it is one of Django's tasks."""
    try:
        task = import_string(job.task)
    except ImportError:
        return job
    if not isinstance(task, Task):
        return job
    return msgspec.structs.replace(job, args=by_name(task, *call_of(job.args)))


class JobsMixin(_Case):
    """Gives a TestCase of Django's `jobs`; put it before the TestCase among the bases."""

    jobs: DjangoJobs

    def setUp(self) -> None:
        super().setUp()
        self.jobs = DjangoJobs()
        self.enterContext(self.jobs.bound())
