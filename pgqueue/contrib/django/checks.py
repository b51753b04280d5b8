"""System checks: what is wrong with the settings, said before a job is lost over it."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

from pgqueue.contrib.django import configured
from pgqueue.contrib.django.database import STORES, recognise
from pgqueue.errors import InvalidJob, PgqueueError
from pgqueue.jobs.retention import Retention

OPTIONS = {
    "database": str,
    "schema": str,
    "max_attempts": int,
    "timeout": object,
    "listen_url": str,
    "retention": Retention,
    "max_rescues": int,
    "pool_size": int,
    "environment": str,
}


def of_backend(backend: Any) -> list[CheckMessage]:
    """Return what is wrong with the settings of *backend*; asks no database."""
    from pgqueue.jobs.job import NewJob
    from pgqueue.statements.files import in_schema

    found: list[CheckMessage] = []
    where = f'TASKS["{backend.alias}"]'
    options = backend.options
    if not apps.is_installed("pgqueue.contrib.django"):
        hint = 'Add "pgqueue.contrib.django" to INSTALLED_APPS, and run manage.py migrate.'
        found.append(Error(f"{where} needs pgqueue's tables.", hint=hint, id="pgqueue.E001"))
    for name, value in options.items():
        if name not in OPTIONS:
            hint = f"There are {', '.join(OPTIONS)}."
            text = f"{where} has no option {name!r}."
            found.append(Error(text, hint=hint, id="pgqueue.E002"))
        elif not isinstance(value, OPTIONS[name]):
            text = f"{where}: {name} is {value!r:.60}, not a {OPTIONS[name].__name__}."
            found.append(Error(text, id="pgqueue.E002"))
    if backend.database not in connections.settings:
        hint = f"There are {', '.join(sorted(connections.settings))}."
        text = f"{where}: DATABASES has no {backend.database!r}."
        found.append(Error(text, hint=hint, id="pgqueue.E003"))
    elif connections[backend.database].vendor not in STORES:
        text = f"{where}: the database {backend.database!r} is neither PostgreSQL nor SQLite."
        found.append(Error(text, hint="OPTIONS can name another one.", id="pgqueue.E004"))
    else:
        found += _of_sqlite(where, connections[backend.database])
    try:
        in_schema("", options.get("schema", "pgqueue"))
        for queue in backend.queues:
            NewJob("check", queue=queue)
    except (InvalidJob, ValueError, TypeError) as error:
        found.append(Error(f"{where}: {error}", id="pgqueue.E005"))
    return found


def _of_sqlite(where: str, connection: Any) -> list[CheckMessage]:
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return []
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode") or "DEFERRED"
    if str(mode).upper() != "DEFERRED":
        return []
    text = (
        f"{where}: a transaction on {connection.alias!r} that has read before it enqueues fails "
        "at once where a worker has written meanwhile."
    )
    hint = f'DATABASES["{connection.alias}"]["OPTIONS"]["transaction_mode"] = "IMMEDIATE"'
    return [Warning(text, hint=hint, id="pgqueue.W001")]


@register(Tags.database)
def of_databases(
    app_configs: Any = None, databases: Any = None, **kwargs: Any
) -> list[CheckMessage]:
    """Return what is wrong with the queue's tables, in those *databases* that Django may ask.

    Warnings: `migrate` itself asks first, and an error would stop it.
    """
    from pgqueue.migrations import sufficient
    from pgqueue.operations import inspections

    found: list[CheckMessage] = []
    for options in configured.options():
        alias = configured.database_of(options)
        schema = options.get("schema", configured.SCHEMA)
        if alias not in (databases or ()):
            continue
        try:
            known = recognise(connections[alias])
            assert known is not None
            version = _version(known, schema, inspections.version())
            sufficient(version, known.store, schema)
        except PgqueueError as error:
            hint = f"python manage.py migrate --database {alias}"
            found.append(Warning(f"{alias}: {error}", hint=hint, id="pgqueue.W002"))
    return found


def _version(known: Any, schema: str, asked: Any) -> str | None:
    from pgqueue import backends

    with backends.attached(known.store, schema).on(known.driver(), single=True) as runner:
        found: str | None = runner.execute(asked)
        return found
