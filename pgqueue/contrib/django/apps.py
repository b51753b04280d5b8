"""The application that Django installs."""

from __future__ import annotations

from django.apps import AppConfig


class PgqueueConfig(AppConfig):
    """The queue: its migrations, its commands, its page in the admin."""

    name = "pgqueue.contrib.django"
    label = "pgqueue"
    verbose_name = "Jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from pgqueue.contrib.django import checks  # noqa: F401  registers itself
        from pgqueue.contrib.django.database import register

        register()
