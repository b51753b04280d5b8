"""The tests of `django.tasks`, from the source of the Django that is imported."""

from __future__ import annotations

from django.test import TransactionTestCase, override_settings
from harness.backends import AtOnce, Kept
from harness.upstream import leave_out
from tasks import test_dummy_backend, test_immediate_backend, test_tasks

IMMEDIATE = "django.tasks.backends.immediate.ImmediateBackend"
# Where they ask whether this is the backend that they have configured.
test_tasks.DummyBackend = Kept
test_dummy_backend.DummyBackend = Kept
test_immediate_backend.ImmediateBackend = AtOnce


@override_settings(
    TASKS={
        "default": {"BACKEND": "harness.backends.Kept", "QUEUES": ["default", "queue_1"]},
        "immediate": {"BACKEND": IMMEDIATE, "QUEUES": []},
        "missing": {"BACKEND": "does.not.exist"},
    }
)
class Tasks(test_tasks.TaskTestCase, TransactionTestCase):
    """All of them."""

    def test_get_backend(self) -> None:
        """The other of its two backends is Django's own."""
        test_tasks.ImmediateBackend = type(
            test_tasks.test_tasks.noop_task.using(backend="immediate").get_backend()
        )
        super().test_get_backend()


@override_settings(TASKS={"default": {"BACKEND": "harness.backends.Kept", "QUEUES": []}})
class Dummy(test_dummy_backend.DummyBackendTestCase, TransactionTestCase):
    """What Django asks of a backend that keeps tasks."""


@override_settings(TASKS={"default": {"BACKEND": "harness.backends.AtOnce", "QUEUES": []}})
class Immediate(test_immediate_backend.ImmediateBackendTestCase, TransactionTestCase):
    """What Django asks of a backend that runs tasks."""


leave_out(
    Dummy,
    {
        "test_refresh_result": "changes the dummy's list, which is a table here",
        "test_refresh_result_async": "changes the dummy's list, which is a table here",
        "test_validate_on_enqueue": "configures Django's dummy itself; Tasks has its like",
        "test_validate_on_aenqueue": "configures Django's dummy itself; Tasks has its like",
    },
)
leave_out(
    Immediate,
    {
        "test_throws_keyboard_interrupt": "a worker goes on, the job has failed",
        "test_cannot_get_result": "we can",
        "test_cannot_refresh_result": "we can",
        "test_cannot_pass_run_after": "we can",
        "test_validate_on_enqueue": "configures Django's immediate backend itself",
        "test_validate_on_aenqueue": "configures Django's immediate backend itself",
    },
)
