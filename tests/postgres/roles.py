"""Roles of a server, with what they may do in one database, and connections as them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from os import getpid
from urllib.parse import quote

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from pgqueue.backends.postgres import PostgresBackend
from pgqueue.operations import rights

_numbers = count(1)


def as_role(url: str, role: str) -> str:
    """*url*, logged in as *role*."""
    address = make_url(url).set(username="role").render_as_string(hide_password=False)
    return address.replace("role@", f"{quote(role)}@", 1)


@contextmanager
def a_role(url: str, *parts: str, name: str | None = None) -> Iterator[str]:
    """A role that plays these *parts*, and may do nothing else."""
    name = name or f"pgqueue_role_{getpid()}_{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        try:
            backend = PostgresBackend(url)
            if parts:
                backend.execute(rights.grant({part: [name] for part in parts}))
            backend.close()
            yield name
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
