"""The department of odd settings: a database, a role and a URL as somebody has left them."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, Self

import psycopg

from tests.faults.sites.postgres import PostgresSite

CREATE = (
    "CREATE DATABASE shop OWNER shop ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    "ALTER DATABASE shop SET client_encoding = 'LATIN1'",
    "ALTER DATABASE shop SET DateStyle = 'German, DMY'",
    "ALTER DATABASE shop SET IntervalStyle = 'sql_standard'",
    "ALTER DATABASE shop SET TimeZone = 'America/St_Johns'",
    "ALTER DATABASE shop SET extra_float_digits = 0",
    "ALTER ROLE shop SET statement_timeout = '3s'",
    "ALTER ROLE shop SET idle_in_transaction_session_timeout = '20s'",
    "ALTER ROLE shop SET search_path = public, pg_catalog",
)


class OddSite(PostgresSite):
    """The first of the hosts that the URL names is not there; every table is published."""

    def __enter__(self) -> Self:
        self._nobody = socket.socket()
        self._nobody.bind(("127.0.0.1", 0))  # and never listens
        super().__enter__()
        with self.admin() as admin:
            admin.execute("CREATE PUBLICATION everything FOR ALL TABLES")
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._nobody.close()

    def create_database(self, admin: psycopg.Connection[Any]) -> None:
        for command in CREATE:
            admin.execute(command.encode())

    def options(self) -> Mapping[str, str]:
        return {**super().options(), "wal_level": "logical"}

    def way(self, *ports: int, name: str, **more: str) -> str:
        return super().way(self._nobody.getsockname()[1], *ports, name=name, **more)

    def environment(self, slot: str, incarnation: str) -> dict[str, str]:
        settings = {"PGCLIENTENCODING": "LATIN1", "PGDATESTYLE": "German", "PGTZ": "Asia/Kolkata"}
        return {**super().environment(slot, incarnation), **settings}
