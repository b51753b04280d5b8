"""pgqueue in Django: `INSTALLED_APPS = [..., "pgqueue.contrib.django"]`.

Its tables are migrated by `manage.py migrate`; `django.tasks` enqueues through it, with
`TASKS = {"default": {"BACKEND": "pgqueue.contrib.django.PgqueueBackend"}}`; `manage.py pgqueue
worker` runs the jobs. docs/django.md is the manual.

The names here are imported at their first use: settings name this package before Django's
applications are ready.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pgqueue.errors import installed

if TYPE_CHECKING:
    from pgqueue.contrib.django.backend import PgqueueBackend
    from pgqueue.contrib.django.queue_app import DjangoApp
    from pgqueue.contrib.django.task_class import PgqueueTask, task

    app: DjangoApp

__all__ = ["PgqueueBackend", "PgqueueTask", "app", "task"]

_HOMES: Final = {
    "PgqueueBackend": "backend",
    "PgqueueTask": "task_class",
    "app": "queue_app",
    "task": "task_class",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with installed("django"):
        home = import_module(f"{__name__}.{_HOMES[name]}")
    return home.default_app() if name == "app" else getattr(home, name)
