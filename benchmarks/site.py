"""Where it is measured: a server, a fresh database each time, and worker processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.contenders import Connection, Contender, Span

# What production has: every commit is on disk. Statistics only where a scenario asks for them.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "none",
}
PATIENCE_SECONDS = 300.0
ROOT = Path(__file__).parent.parent


class Site:
    """A server, and the databases that are made on it for one measurement each."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = count(1)

    @contextlib.contextmanager
    def database(self, contender: Contender) -> Iterator[str]:
        """The URL of a fresh database with what *contender* needs, just after a checkpoint."""
        name = f"benchmark_{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
            try:
                parts = urlsplit(self._url)
                url = urlunsplit(parts._replace(path=f"/{name}"))
                contender.install(url)
                with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                    connection.execute("CHECKPOINT")
                yield url
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def describe(self) -> dict[str, str]:
        """What the figures depend on."""
        with psycopg.connect(self._url) as connection:
            names = ("server_version", *SETTINGS)
            found = connection.execute(
                "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY (%s)",
                (list(names),),
            )
            return dict(found.fetchall())


@contextlib.contextmanager
def site(url: str | None) -> Iterator[Site]:
    """The server at *url*, or one of our own that ends with us."""
    if url is not None:
        yield Site(url)
        return
    from pgqueue import embedded

    with embedded.start(ephemeral=True, options=SETTINGS) as server:
        yield Site(server.url)


@contextlib.contextmanager
def connect(url: str) -> Iterator[Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


class Workers:
    """Worker processes: inside the block they work, after it *reports* holds what each said."""

    def __init__(self, contender: Contender, url: str, processes: int, concurrency: int) -> None:
        self._command = contender.worker(url, concurrency=concurrency)
        self._count = processes
        self.processes: list[subprocess.Popen[str]] = []
        self.reports: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        for _ in range(self._count):
            self.processes.append(
                subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            )
        for process in self.processes:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError(f"{self._command} does not start")
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                answer, _ = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            if process.returncode == 0:
                self.reports.append(json.loads(answer))

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.processes]

    def picked(self) -> list[float]:
        """Seconds from *sent* to the task's first line, of all that ran."""
        return sorted(seconds for report in self.reports for seconds in report["picked"])


def workers(contender: Contender, url: str, processes: int = 1, concurrency: int = 100) -> Workers:
    return Workers(contender, url, processes, concurrency)


def burst(contender: Contender, connection: Connection, count: int, priorities: int = 1) -> Span:
    """Enqueues *count* jobs at once, and waits until all are done."""
    mark = contender.fill(connection, count, priorities)
    return await_span(contender, connection, mark, count)


def await_span(contender: Contender, connection: Connection, mark: int, count: int) -> Span:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (span := contender.span(connection, mark, count)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{contender.name}: {count} jobs take too long")
        time.sleep(0.02)
    return span
