"""The tests of django-tasks-db that say what any backend of a database has to do.

They import that package: here is what they ask of it, as pgqueue has it. Its ids are UUIDs, ours
are numbers; where a test writes into a row what a worker would, a worker does. How many queries
its worker makes is its own affair; how many an enqueue and a result take is ours too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import unittest
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType, SimpleNamespace
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.tasks import task_backends
from harness import their_tasks
from harness.backends import work
from harness.upstream import leave_out

from pgqueue import operations
from pgqueue.contrib.django.admin import execute
from pgqueue.contrib.django.backend import PgqueueBackend
from pgqueue.contrib.django.models import Job
from pgqueue.operations.inspections import workers


class Rows(QuerySet[Job]):
    """Their manager's words."""

    def ready(self) -> Any:
        return self.filter(state="available")

    def successful(self) -> Any:
        return self.filter(state="completed")

    def failed(self) -> Any:
        return self.filter(state__in=["cancelled", "discarded"])

    def get(self, **named: Any) -> Any:
        job = super().get(**named)
        return SimpleNamespace(task=task_backends["default"].get_result(str(job.pk)).task)

    def update(self, **changes: Any) -> int:
        if "run_after" in changes:  # is over
            return len(execute(operations.retry(list(self.values_list("pk", flat=True)))))
        work(task_backends["default"], "default")
        return self.count()

    async def aupdate(self, **changes: Any) -> int:
        return await sync_to_async(self.update)(**changes)


class Rowed(type):
    @property
    def objects(cls) -> Rows:
        return Rows(Job)


class Result(metaclass=Rowed):
    """Their model."""


def number(text: str) -> SimpleNamespace:
    """What `uuid.UUID` is to them: fails for what is no id."""
    assert int(text) > 0
    return SimpleNamespace(version=4)


def stand_in(name: str, **attributes: Any) -> None:
    module = ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module


stand_in("django_tasks_db", DatabaseBackend=PgqueueBackend, compat=None)
stand_in("django_tasks_db.admin", DBTaskResultAdmin=None)
stand_in("django_tasks_db.management")
stand_in("django_tasks_db.management.commands")
stand_in("django_tasks_db.management.commands.prune_db_task_results", logger=None)
stand_in("django_tasks_db.models", DBTaskResult=Result, get_date_max=None)
stand_in(
    "django_tasks_db.utils", exclusive_transaction=lambda: lambda test: test, normalize_uuid=None
)
stand_in("tests", tasks=their_tasks)

spec = spec_from_file_location("their_tests", os.environ["DJANGO_TASKS_DB_TESTS"])
assert spec is not None
assert spec.loader is not None
theirs = module_from_spec(spec)
spec.loader.exec_module(theirs)
theirs.uuid = SimpleNamespace(UUID=number, uuid4=uuid.uuid4, uuid1=uuid.uuid1)


class Patient(subprocess.Popen[str]):
    """A worker's process on a machine that may be busy."""

    def wait(self, timeout: float | None = None) -> int:
        return super().wait(60)


class Backend(theirs.DatabaseBackendTestCase):
    """Enqueueing and results."""


class Worker(theirs.DatabaseBackendWorkerTestCase):
    """What a worker does with tasks."""

    @staticmethod
    def run_worker(queue_name: str = "default", exclude_queues: str = "") -> None:
        backend = task_backends["default"]
        queues = backend.queues if queue_name == "*" else {queue_name}
        work(backend, *(queues - set(exclude_queues.split(","))))

    @contextmanager
    def assertNumQueries(self, *_: object) -> Iterator[None]:
        yield


class Database(theirs.DatabaseTaskResultTestCase):
    """What other connections see."""


class Process(theirs.DatabaseWorkerProcessTestCase):
    """A worker as a process, and its end."""

    WORKER_STARTUP_TIME = 3

    def start_worker(self, args: Any = (), **_: Any) -> Patient:
        drain = ["--drain"] if "--batch" in (args or ()) else []
        process = Patient(
            [sys.executable, "-m", "django", "pgqueue", "worker", *drain],
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "harness.worker_settings"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.processes.append(process)
        while not drain and process.pid not in {each.pid for each in execute(workers())}:
            assert process.poll() is None
            time.sleep(0.05)
        return process


PORTABLE = {
    Backend: """using_correct_backend enqueue_task enqueue_task_async get_result get_result_async
        refresh_result refresh_result_async get_missing_result async_get_missing_result invalid_uuid
        async_invalid_uuid check doesnt_wait_until_transaction_commit enqueue_logs run_after_tz
        validate_on_enqueue validate_on_aenqueue""",
    Worker: """run_enqueued_task batch_processes_all_tasks no_tasks doesnt_process_different_queue
        process_all_queues process_all_queues_excluding_one_queue
        excluding_unknown_queue_processes_selected_queues failing_task complex_exception run_after
        worker_doesnt_exit_on_failure takes_context context""",
    Database: "cross_connection",
    Process: """run_subprocess interrupt_no_tasks kill system_exit_task keyboard_interrupt_task""",
}


def leave_out_the_rest() -> None:
    for case, names in PORTABLE.items():
        asked = {f"test_{name}" for name in names.split()}
        known = set(unittest.TestLoader().getTestCaseNames(case))
        assert asked <= known, asked - known
        leave_out(case, dict.fromkeys(known - asked, "of their rows, queries and options"))


def how_many() -> int:
    """How many tests they have."""
    cases = [each for each in vars(theirs).values() if isinstance(each, type)]
    own = [case for case in cases if case.__module__ == theirs.__name__]
    tests = [case for case in own if issubclass(case, unittest.TestCase)]
    return sum(len(unittest.TestLoader().getTestCaseNames(case)) for case in tests)


assert how_many() == int(os.environ["DJANGO_TASKS_DB_COUNT"]), how_many()
leave_out_the_rest()
