"""A PostgreSQL URL as libpq reads it: the one reading for workers, applications and migrations."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgqueue.errors import InvalidUrl

Url: TypeAlias = str | Callable[[], str]
"""A URL, or a function that is asked for it whenever a connection is made."""

KEEPALIVES: Final[Mapping[str, Any]] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # keepalives are silent while an answer is due
    "connect_timeout": 5,
}
# Whatever PGCLIENTENCODING, the role, the database or the URL says: our documents are JSON, and in
# any other encoding a single character would keep a claim from being read.
ENCODING: Final[Mapping[str, Any]] = {"client_encoding": "UTF8"}
# Of several hosts only the one that takes writes: a standby would refuse each statement.
WRITABLE: Final[Mapping[str, Any]] = {"target_session_attrs": "read-write", **KEEPALIVES}


def conninfo(url: str) -> str:
    """*url* for libpq: SQLAlchemy's ``postgresql+psycopg://`` is understood too.

    Raises InvalidUrl for what libpq would refuse, and repeat: a part of the password, say. Only an
    unknown parameter is named, where it can be nothing else.
    """
    address = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
    unknown = None
    try:
        parts = conninfo_to_dict(address)
    except (psycopg.Error, ValueError) as error:
        unknown = re.search(r'invalid URI query parameter: "(\w+)"', str(error))
    else:
        hosts = str(parts.get("host") or "").split(",")
        ports = str(parts.get("port") or "").split(",")
        if not any("@" in host[1:] for host in hosts) and all(p.isdigit() or not p for p in ports):
            return address
    if unknown and "@" not in address.partition("?")[2]:
        raise InvalidUrl(f"the store's URL has a parameter {unknown[1]}, which libpq does not know")
    raise InvalidUrl


def asked_anew(url: Url) -> Callable[[], str]:
    """Return what answers with *url* for libpq; one that is a function is called each time.

    Raises InvalidUrl, at once for a text.
    """
    if callable(url):
        ask = url
        return lambda: conninfo(ask())
    fixed = conninfo(url)
    return lambda: fixed


def settings(url: str, wanted: Mapping[str, Any] = WRITABLE) -> dict[str, Any]:
    """How to connect to *url*: as *wanted*, but for what it says itself; and always in UTF-8."""
    said: Mapping[str, Any] = {}
    with contextlib.suppress(psycopg.Error):
        said = conninfo_to_dict(url)
    return {name: value for name, value in wanted.items() if name not in said} | dict(ENCODING)
