"""The tasks that django-tasks-db tests with, which its source distribution leaves out: Django's."""

from django.tasks import task
from tasks.tasks import *  # noqa: F403


@task
def failing_task_value_error() -> None:
    raise ValueError("This task failed due to ValueError")
