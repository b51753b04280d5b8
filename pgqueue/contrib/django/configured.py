"""What the setting TASKS says of the queue, read without making a backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.conf import settings

BACKENDS: Final = (
    "pgqueue.contrib.django.PgqueueBackend",
    "pgqueue.contrib.django.backend.PgqueueBackend",
)
SCHEMA: Final = "pgqueue"


def ours() -> Iterator[Mapping[str, Any]]:
    """Yield each of TASKS whose backend is pgqueue's."""
    for params in (getattr(settings, "TASKS", None) or {}).values():
        if params.get("BACKEND") in BACKENDS:
            yield params


def options() -> Iterator[Mapping[str, Any]]:
    """Yield the OPTIONS of each."""
    for params in ours():
        yield params.get("OPTIONS", {})


def database_of(options: Mapping[str, Any]) -> str:
    """Return the alias of the database that *options* name."""
    alias: str = options.get("database", "default")
    return alias


def database() -> str:
    """Return the alias of the database that TASKS names first; "default" where it names none."""
    return database_of(next(options(), {}))


def options_of(alias: str) -> Mapping[str, Any]:
    """Return the OPTIONS of the queue in the database *alias*."""
    return next((o for o in options() if database_of(o) == alias), {"database": alias})


def schema_of(alias: str) -> str:
    """Return the schema of the queue in the database *alias*."""
    schema: str = options_of(alias).get("schema", SCHEMA)
    return schema


def queues(alias: str) -> list[str]:
    """Return all queues that TASKS names for the database *alias*, "default" if it names none."""
    found: dict[str, None] = {}
    for params in ours():
        if database_of(params.get("OPTIONS", {})) == alias:
            found |= dict.fromkeys(params.get("QUEUES") or ["default"])
    return list(found) or ["default"]
