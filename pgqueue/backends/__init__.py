"""The ports: one package a store carries operations out there. None imports another.

Another package adds a store by an entry point of the group ``pgqueue.backends``: its name is the
URL's scheme, its object makes a `Backend` of ``(url, *, schema)``. docs/backends.md is the manual.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from pgqueue.backends.base import Backend as Backend
from pgqueue.errors import PgqueueError, installed

if TYPE_CHECKING:
    from pgqueue.addresses import Url

Opener: TypeAlias = Callable[..., Backend]

# By URL scheme without the driver: SQLAlchemy's `postgresql+psycopg` is the same store.
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
_ASKING = ("postgres",)  # stores that ask a function for the URL at every connect
_GROUP = "pgqueue.backends"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9.-]*)(?:\+\w+)?:")


def connect(url: Url, **options: Any) -> Backend:
    """Return the backend that *url* names; it connects when it is first used.

    A function is given to PostgreSQL's backend, which asks it at every connect; it must name the
    same store each time. Other backends get its first answer.

    *options* that are None count as not given. Raises PgqueueError for an unknown store, and for an
    option that it does not have.
    """
    given = {name: value for name, value in options.items() if value is not None}
    named = url() if callable(url) else url
    opener = _opener(named)
    known = inspect.signature(opener).parameters
    for name in given:
        if name not in known:
            raise PgqueueError(f"{_scheme(named)}:// has no option {name}")
    return opener(url if store_of(named) in _ASKING else named, **given)


def store_of(url: str) -> str:
    """Return the name of the store that *url* names.

    It is the folder of its statement files, or the scheme by which another package adds it.
    """
    return _STORES.get(_scheme(url), _scheme(url))


@cache
def attached(store: str, schema: str) -> Backend:
    """Return a backend for the application's connections, which opens none itself."""
    return _module(store)("", schema=schema)


def _scheme(url: str) -> str:
    """Return what stands before the colon. The rest may hold a password, so no message repeats
    it."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def _opener(url: str) -> Opener:
    scheme = _scheme(url)
    if scheme in _STORES:
        return _module(_STORES[scheme])
    from importlib.metadata import entry_points

    for entry in entry_points(group=_GROUP, name=scheme):
        opener: Opener = entry.load()
        return opener
    others = {entry.name for entry in entry_points(group=_GROUP)}
    known = ", ".join(f"{known}://" for known in (*_STORES, *sorted(others)))
    raise PgqueueError(
        f"{scheme or 'a URL without a scheme'}: no such store; pgqueue knows {known}"
    )


def _module(store: str) -> Opener:
    with installed(store):
        opener: Opener = import_module(f"pgqueue.backends.{store}").open_backend
    return opener
