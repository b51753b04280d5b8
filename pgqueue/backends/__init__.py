"""The ports: what carries operations out, one module a store. Siblings never see one another."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from pgqueue.backends.base import Backend as Backend
from pgqueue.errors import PgqueueError

# URL scheme, less any driver: SQLAlchemy's `postgresql+psycopg` is the same store.
_STORES = {"postgresql": "postgres", "postgres": "postgres"}


def connect(url: str, **options: Any) -> Backend:
    """The backend that *url* names; it connects when it is first used."""
    scheme = _scheme(url)
    if scheme not in _STORES:
        known = ", ".join(f"{scheme}://" for scheme in _STORES)
        raise PgqueueError(
            f"{scheme or 'a URL without a scheme'}: no such store; pgqueue knows {known}"
        )
    return _backend(_STORES[scheme], url, options)


@cache
def attached(store: str, schema: str) -> Backend:
    """A backend without connections of its own, for those of the application."""
    return _backend(store, "", {"schema": schema})


def _scheme(url: str) -> str:
    """What stands before ``://``. No more of *url* is read here, nor said: it has a password."""
    scheme, found, _ = url.partition("://")
    return scheme.partition("+")[0].lower() if found else ""


def _backend(store: str, url: str, options: dict[str, Any]) -> Backend:
    backend: Backend = import_module(f"pgqueue.backends.{store}").open_backend(url, **options)
    return backend
