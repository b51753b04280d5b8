"""PostgreSQL from a wheel, with production durability; each worker has a network of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Self
from urllib.parse import quote, urlencode

import psutil
import psycopg

from pgqueue import App, embedded, enqueue, migrations
from pgqueue.embedded import Server
from pgqueue.errors import NoServer, PgqueueError, StoreUnavailable
from pgqueue.jobs.job import Handle
from tests.faults.facts import Fate, Job, Order
from tests.faults.orders import Draft
from tests.faults.proxy import Gate, Network
from tests.faults.sites import rows

PASSWORD = "secret"
CONNECTIONS = 60
TABLES = """
    CREATE TABLE orders (key bigint PRIMARY KEY, row jsonb NOT NULL);
    CREATE TABLE booking (job bigint NOT NULL, run text NOT NULL);
    CREATE TABLE touched (id integer PRIMARY KEY, at timestamptz NOT NULL);
"""
JOBS = """
    SELECT id, (args ->> 'key')::bigint, state, result #>> '{}', metadata -> 'schedule',
           to_jsonb(run_at) #>> '{}'
    FROM pgqueue.jobs
"""
TOUCH = """
    INSERT INTO touched VALUES (1, now()) ON CONFLICT (id) DO UPDATE SET at = now()
"""


class PostgresSite:
    """The server, the database `shop`, and a role of that name without special rights."""

    transactional = True
    true_clock = True
    away = (psycopg.OperationalError, StoreUnavailable)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = Network()
        self.gates: dict[str, Gate] = {}

    def __enter__(self) -> Self:
        self.server = self.start_server()
        with self.admin("postgres") as admin:
            admin.execute(f"CREATE ROLE shop LOGIN PASSWORD '{PASSWORD}'".encode())
            admin.execute("GRANT pg_read_all_stats TO shop")
            self.create_database(admin)
        self.migrate()
        with psycopg.connect(self.url("tables")) as connection:
            connection.execute(TABLES)
        self._touching: psycopg.Connection[Any] | None = None
        return self

    def __exit__(self, *_: object) -> None:
        self.network.close()
        self.server.stop("immediate")

    def migrate(self) -> None:
        migrations.migrate(self.url("migrate"))

    def start_server(self) -> Server:
        return embedded.start(self.folder, ephemeral=True, tcp=True, options=self.options())

    def create_database(self, admin: psycopg.Connection[Any]) -> None:
        admin.execute("CREATE DATABASE shop OWNER shop")

    def options(self) -> Mapping[str, str]:
        return {"max_connections": str(CONNECTIONS), "max_wal_size": "256MB"}

    def port(self, server: Server) -> int:
        return int(psycopg.conninfo.conninfo_to_dict(server.tcp_url)["port"])

    def way(self, *ports: int, name: str, **more: str) -> str:
        """The URL of the shop's database through *ports* of this machine."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"postgresql://shop:{PASSWORD}@{hosts}/shop?" + urlencode(
            {"application_name": name, **more}, quote_via=quote
        )

    def url(self, name: str) -> str:
        """The direct way, for the campaign itself."""
        return self.way(self.port(self.server), name=name, connect_timeout="5")

    def admin(self, database: str = "shop") -> psycopg.Connection[Any]:
        """The superuser, who has connections when nobody else has."""
        url = self.server.url.replace("/postgres?", f"/{database}?")
        return psycopg.connect(url, autocommit=True, application_name="nemesis", connect_timeout=5)

    def await_answer(self, patience: float = 60) -> None:
        """Returns when the server accepts connections. Raises TimeoutError."""
        deadline = monotonic() + patience
        while monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                return self.admin().close()
            time.sleep(0.02)
        raise TimeoutError(f"the server has not come back in {patience:g} s")

    def environment(self, slot: str, incarnation: str) -> dict[str, str]:
        claims, ear = self.gate(slot), self.gate(f"{slot} ear")
        return {
            "PGQUEUE_URL": self.way(claims.port, name=incarnation),
            "PGQUEUE_LISTEN_URL": self.way(ear.port, name=f"{incarnation} ear"),
        }

    def stop_server(self) -> None:
        """In good order; returns when it has ended, and keeps its data."""
        os.kill(self.server.pid, signal.SIGINT)
        with suppress(NoServer):
            while self.server.pid:
                time.sleep(0.02)

    def keep(self) -> None:
        """A cold copy of the data directory."""
        self.stop_server()
        self._copy(self.server.directory / "data", self._kept)
        self.server.start()

    def restore(self) -> None:
        """Puts what `keep` has kept in the place of what is there."""
        self.stop_server()
        self._copy(self._kept, self.server.directory / "data")
        self.server.start()

    @property
    def _kept(self) -> Path:
        return self.folder / "store-kept"

    def _copy(self, source: Path, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", str(source), str(target)], check=True)

    def processes(self) -> list[psutil.Process]:
        """The server's."""
        postmaster = psutil.Process(self.server.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def gate(self, name: str) -> Gate:
        """The network between one worker and the server; `NAME ear` is that of its LISTEN
        connection."""
        if name not in self.gates:
            self.gates[name] = self.network.gate(self.port(self.server))
        return self.gates[name]

    def app(self) -> App:
        """For those who look after schedules, and at limits."""
        return App(self.url("operator"))

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url("editor"))

    def till(self) -> PostgresTill:
        return PostgresTill(self.url("producer"))

    def unfinished(self) -> int:
        with self.reading() as connection:
            row = connection.execute("SELECT count(*) FROM pgqueue.job").fetchone()
        assert row is not None
        return int(row[0])

    def read(self) -> tuple[list[Order], list[Job], list[tuple[int, str]]]:
        with self.reading() as connection:
            kept = connection.execute("SELECT row FROM orders").fetchall()
            jobs = connection.execute(JOBS).fetchall()
            bookings = connection.execute("SELECT job, run FROM booking").fetchall()
        return [rows.order(row) for (row,) in kept], [rows.job(*job) for job in jobs], bookings

    def touch(self) -> None:
        try:
            if self._touching is None or self._touching.closed:
                self._touching = psycopg.connect(self.url("probe"), autocommit=True)
            self._touching.execute(TOUCH)
        except psycopg.Error as error:
            raise StoreUnavailable(str(error)) from error

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(self.url("reader")) as connection:
                yield connection
        except psycopg.OperationalError as error:
            raise StoreUnavailable(str(error)) from error


class PostgresTill:
    """The producer's connection: psycopg, in transactions of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None
        self._handles: dict[int, Handle[Any]] = {}

    def sell(self, drafts: Sequence[Draft], *, keep: bool, linger: float) -> tuple[Fate, list[int]]:
        committing = False
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._url)
            handles = self._enqueue(self._connection, drafts)
            time.sleep(linger)
            if not keep:
                self._connection.rollback()
                return "rolled back", []
            committing = True
            self._connection.commit()
        except (psycopg.Error, PgqueueError):
            with suppress(psycopg.Error):
                if self._connection is not None:
                    self._connection.close()
            self._connection = None
            return ("unknown" if committing else "rolled back"), []
        free = rows.free(drafts, handles)
        self._handles |= free
        return "committed", list(free)

    def forget(self) -> None:
        self._handles.clear()

    def _enqueue(
        self, connection: psycopg.Connection[Any], drafts: Sequence[Draft]
    ) -> list[Handle[Any]]:
        asked_at = monotonic()
        handles = enqueue(connection, rows.jobs(drafts, self._handles))
        kept = [
            (draft.key, json.dumps(rows.row(draft, handle, asked_at)))
            for draft, handle in zip(drafts, handles, strict=True)
        ]
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO orders VALUES (%s, %s)", kept)
        return handles
