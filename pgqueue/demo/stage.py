"""Where the demo plays: a database of its own, or a place in one that is given, and worker
processes."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import psycopg

from pgqueue import backends, embedded, migrations
from pgqueue.addresses import conninfo
from pgqueue.backends.sqlite.file import MEMORY, FilePresence, parse
from pgqueue.demo import CLOCK, FILES, SCHEMA
from pgqueue.errors import NoServer, PgqueueError, StoreUnavailable
from pgqueue.worker.supervisor import environment

_GOODBYE_SECONDS: Final = 10.0
# Each process reads only four files at once, so that the clock's jobs always find room.
_QUEUES: Final = f"{FILES}:4,{CLOCK}"


@dataclass(frozen=True, slots=True)
class Stage:
    """A database with empty tables, which *clear* removes."""

    url: str
    server: str
    where: str
    clear: Callable[[], None]


@contextmanager
def database(url: str | None, *, keep: bool) -> Iterator[Stage]:
    """Yield the database at *url*, or one on a server that is started here and stopped at the end.

    In a database that is given, everything is in a schema or in tables that are dropped at the end,
    unless *keep*. Raises NoServer, StoreUnavailable, and PgqueueError when another demo is running
    there.
    """
    if url is None:
        with _server() as server, _schema(server.url, own=True) as stage:
            yield stage
        return
    store = backends.store_of(url)
    if store not in _PLACES:
        raise PgqueueError(f"the demo plays on {' and '.join(_PLACES)}, not on {store}")
    with _PLACES[store](url) as stage:
        try:
            yield stage
        finally:
            if not keep:
                stage.clear()


@contextmanager
def workers(stage: Stage, processes: int, *, loud: bool = False) -> Iterator[Workers]:
    """Yield worker processes, as `pgqueue worker --processes` starts them; they end with the block.

    Their log is shown when they end by themselves; *loud*: all of it, as it comes.
    """
    with tempfile.TemporaryFile("w+") as log:
        started = Workers(stage.url, processes, None if loud else log)
        try:
            yield started
        finally:
            started.stop()


class Workers:
    """A supervisor and its worker processes."""

    def __init__(self, url: str, processes: int, log: IO[str] | None) -> None:
        self._log = log
        self.processes = processes
        options: dict[str, Any] = {
            "--queues": _QUEUES,
            "--processes": max(2, processes),
            "--pool-processes": 1,
            "--grace": 0,
            "--log-level": "warning" if log else "info",
        }
        if processes == 1:
            del options["--processes"]
        words = [str(word) for option in options.items() for word in option]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pgqueue.worker", "pgqueue.demo:app", *words],
            stdin=subprocess.DEVNULL,
            stderr=log,
            # Not by --url: everybody on this machine can read a command line, and the password in
            # it.
            env={**environment(), "PGQUEUE_URL": url},
            process_group=0,  # Ctrl-C reaches only us; we then stop the workers
        )

    def check(self) -> None:
        """Raise PgqueueError, with the end of their log, when they have ended."""
        if self._process.poll() is not None:
            words = []
            if self._log is not None:
                self._log.seek(0)
                words = self._log.read().strip().splitlines()[-3:]
            raise PgqueueError(
                f"the workers have ended: {' | '.join(words) or 'they gave no reason'}"
            )

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            self._process.send_signal(number)
            try:
                self._process.wait(_GOODBYE_SECONDS / 2)
                return
            except subprocess.TimeoutExpired:
                continue


def _server() -> embedded.Server:
    """Return a server that keeps its data, so that it starts at once next time; another one if that
    is in use."""
    try:
        return embedded.start()
    except NoServer as error:
        try:
            return embedded.start(ephemeral=True)
        except NoServer:
            raise error from None


@contextmanager
def _schema(url: str, *, own: bool = False) -> Iterator[Stage]:
    """Yield an empty queue in the demo's own schema; what an earlier demo has left there is dropped
    first."""
    try:
        connection = psycopg.connect(conninfo(url), autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        line = str(error).strip().partition("\n")[0]
        raise StoreUnavailable(f"PostgreSQL cannot be reached: {line}") from error
    with connection:
        row = connection.execute(
            "SELECT pg_try_advisory_lock(hashtext(%s)), current_setting('server_version')",
            [SCHEMA],
        ).fetchone()
        assert row is not None
        if not row[0]:
            raise PgqueueError("another demo is running in this database; wait for its end")
        _drop(url)
        migrations.migrate(url, schema=SCHEMA)
        server = f"PostgreSQL {row[1].partition(' ')[0]}"
        where = "started for you" if own else "in a schema of its own"
        yield Stage(url, server, where, lambda: _drop(url))


def _drop(url: str) -> None:
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


@contextmanager
def _tables(url: str) -> Iterator[Stage]:
    """Yield empty tables in a SQLite file; the file is removed at the end if the demo has made
    it."""
    path, _ = parse(url)
    if path == MEMORY:
        raise PgqueueError("what is in memory belongs to one process; give the demo a file")
    made = not Path(path).exists()
    presence = FilePresence(path, SCHEMA)
    if not presence.hold(0):
        raise PgqueueError("another demo is running in this database; wait for its end")

    def clear() -> None:
        migrations.migrate(url, to="base", schema=SCHEMA)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {SCHEMA}_scan")
        presence.let_go(0)
        if made:
            for file in (path, f"{path}-wal", f"{path}-shm"):
                Path(file).unlink(missing_ok=True)
            shutil.rmtree(f"{path}-locks", ignore_errors=True)

    try:
        migrations.migrate(url, to="base", schema=SCHEMA)
        migrations.migrate(url, schema=SCHEMA)
        server = f"SQLite {sqlite3.sqlite_version}"
        yield Stage(url, server, "in tables of its own", clear)
    finally:
        presence.let_go(0)


@contextmanager
def _namespace(url: str) -> Iterator[Stage]:
    """Yield an empty queue in the demo's own namespace."""
    from pgqueue.demo.namespace import namespace  # here: redis-py may not be installed

    with namespace(url) as (server, clear):
        yield Stage(url, server, "in a namespace of its own", clear)


_PLACES: Final[dict[str, Callable[[str], AbstractContextManager[Stage]]]] = {
    "postgres": _schema,
    "sqlite": _tables,
    "redis": _namespace,
}
