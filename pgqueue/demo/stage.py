"""Where the demo plays: a database of its own or a schema in somebody's, and worker processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

import psycopg

from pgqueue import embedded, migrations
from pgqueue.backends.postgres import conninfo
from pgqueue.demo import CLOCK, FILES, SCHEMA
from pgqueue.errors import NoServer, PgqueueError, StoreUnavailable
from pgqueue.worker.supervisor import environment

_GOODBYE_SECONDS: Final = 10.0
# Few files at once a process, so that the clock's jobs always find room.
_QUEUES: Final = f"{FILES}:4,{CLOCK}"


@dataclass(frozen=True, slots=True)
class Stage:
    """A database with empty tables. *own*: its server was started for the demo."""

    url: str
    server: str
    own: bool


@contextmanager
def database(url: str | None, *, keep: bool) -> Iterator[Stage]:
    """The database at *url*, or one on a server that is started here and stopped in the end.

    In somebody's database everything is in a schema that is dropped in the end, unless *keep*.
    Raises NoServer, StoreUnavailable, PgqueueError when another demo is running there.
    """
    if url is not None:
        with _schema(url, own=False) as stage:
            try:
                yield stage
            finally:
                if not keep:
                    _drop(stage.url)
        return
    with _server() as server, _schema(server.url, own=True) as stage:
        yield stage


@contextmanager
def workers(stage: Stage, processes: int, *, loud: bool = False) -> Iterator[Workers]:
    """Worker processes, as `pgqueue worker --processes` starts them; they end when we do.

    What they log is told when they end by themselves; *loud*: all of it, and as it comes.
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
            # Not by --url: anybody may read a command line.
            env={**environment(), "PGQUEUE_URL": url},
            process_group=0,  # Ctrl-C is for us
        )

    def check(self) -> None:
        """Raises PgqueueError, with the last words, when they are gone."""
        if self._process.poll() is not None:
            words = []
            if self._log is not None:
                self._log.seek(0)
                words = self._log.read().strip().splitlines()[-3:]
            raise PgqueueError(f"the workers have ended: {' | '.join(words) or 'nobody said why'}")

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            self._process.send_signal(number)
            try:
                self._process.wait(_GOODBYE_SECONDS / 2)
                return
            except subprocess.TimeoutExpired:
                continue


def _server() -> embedded.Server:
    """A server that keeps its data, so that it starts at once next time; or another, if in use."""
    try:
        return embedded.start()
    except NoServer as error:
        try:
            return embedded.start(ephemeral=True)
        except NoServer:
            raise error from None


@contextmanager
def _schema(url: str, *, own: bool) -> Iterator[Stage]:
    """An empty queue in a schema that is ours; what an earlier demo has left in it goes."""
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
        yield Stage(url, f"PostgreSQL {row[1].partition(' ')[0]}", own)


def _drop(url: str) -> None:
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
