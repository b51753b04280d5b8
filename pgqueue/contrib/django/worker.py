"""What `pgqueue worker` runs in a Django project: `manage.py pgqueue worker`, or, with
DJANGO_SETTINGS_MODULE, `pgqueue worker pgqueue.contrib.django.worker`; another database's queue is
`pgqueue.contrib.django.worker:ALIAS`."""

from __future__ import annotations

import django
from django.apps import apps
from django.db import connections
from django.utils.module_loading import autodiscover_modules

from pgqueue.contrib.django import configured
from pgqueue.contrib.django.queue_app import DjangoApp, app_of, default_app

if not apps.ready:
    django.setup()
autodiscover_modules("tasks")
app = default_app()


def __getattr__(name: str) -> DjangoApp:
    if name not in connections.settings:
        raise AttributeError(f"DATABASES has no {name!r}")
    return app_of(configured.options_of(name))
