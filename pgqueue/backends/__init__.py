"""The ports: what carries operations out, one package a store. Siblings never see one another.

Another package adds a store by an entry point of the group ``pgqueue.backends``: its name is the
URL's scheme, its object makes a `Backend` of ``(url, *, schema)``. docs/backends.md is the manual.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from pgqueue.backends.base import Backend as Backend
from pgqueue.errors import PgqueueError

Opener: TypeAlias = Callable[..., Backend]

# By URL scheme, less any driver: SQLAlchemy's `postgresql+psycopg` is the same store.
_STORES = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "sqlite": "sqlite",
    "redis": "redis",
    "rediss": "redis",
    "valkey": "redis",
    "valkeys": "redis",
    "unix": "redis",
}
_GROUP = "pgqueue.backends"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9.-]*)(?:\+\w+)?:")


def connect(url: str, **options: Any) -> Backend:
    """The backend that *url* names; it connects when it is first used.

    *options* that are None are those nobody gave. Raises PgqueueError for an unknown store, and for
    an option that it does not have.
    """
    given = {name: value for name, value in options.items() if value is not None}
    opener = _opener(url)
    known = inspect.signature(opener).parameters
    for name in given:
        if name not in known:
            raise PgqueueError(f"{_scheme(url)}:// has no option {name}")
    return opener(url, **given)


def store_of(url: str) -> str:
    """The store that *url* names: the name of its folder of statement files, or another package's
    scheme."""
    return _STORES.get(_scheme(url), _scheme(url))


@cache
def attached(store: str, schema: str) -> Backend:
    """A backend without connections of its own, for those of the application."""
    return _module(store)("", schema=schema)


def _scheme(url: str) -> str:
    """What stands before the colon. No more of *url* is read here, nor said: it has a password."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def _opener(url: str) -> Opener:
    scheme = _scheme(url)
    if scheme in _STORES:
        return _module(_STORES[scheme])
    for entry in entry_points(group=_GROUP, name=scheme):
        opener: Opener = entry.load()
        return opener
    others = {entry.name for entry in entry_points(group=_GROUP)}
    known = ", ".join(f"{known}://" for known in (*_STORES, *sorted(others)))
    raise PgqueueError(
        f"{scheme or 'a URL without a scheme'}: no such store; pgqueue knows {known}"
    )


def _module(store: str) -> Opener:
    opener: Opener = import_module(f"pgqueue.backends.{store}").open_backend
    return opener
