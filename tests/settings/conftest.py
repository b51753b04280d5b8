"""Databases as they are found: of another encoding, with settings of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from os import getpid
from typing import TypeAlias

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from tests.databases import Databases

ADatabase: TypeAlias = Callable[[str], str]
_numbers = count(1)


@pytest.fixture
def a_database(databases: Databases) -> Iterator[ADatabase]:
    """Makes databases of an encoding, without the schema."""
    made: list[sql.Identifier] = []
    with psycopg.connect(databases.server, autocommit=True) as admin:

        def make(encoding: str) -> str:
            name = f"pgqueue_encoded_{getpid()}_{next(_numbers)}"
            made.append(sql.Identifier(name))
            admin.execute(
                sql.SQL(
                    "CREATE DATABASE {} ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
                ).format(made[-1], encoding)
            )
            return databases.url(name)

        yield make
        for name in made:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def is_set(url: str, **settings: str) -> None:
    """From now on sessions of the database begin with *settings*."""
    database = sql.Identifier(make_url(url).database or "")
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("SET default_transaction_read_only = off")
        for name, value in settings.items():
            # Without quotes, as `search_path` takes several names.
            owner.execute(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                    database, sql.Identifier(name), sql.SQL(value)
                )
            )
