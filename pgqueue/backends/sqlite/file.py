"""A SQLite file and the locks beside it: who may write next, and which workers live.

The locks of `jobs.db` are files in the folder `jobs.db-locks`. The database file itself must never
be opened here: closing it would drop the locks that SQLite holds for the whole process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from pgqueue.backends.forks import on_fork
from pgqueue.backends.sqlite.errors import locked
from pgqueue.backends.sqlite.own_connection import OwnConnection
from pgqueue.errors import PgqueueError, SchemaMissing, StoreBusy

MEMORY: Final = ":memory:"
BUSY_SECONDS: Final = 5.0
SYNCHRONOUS: Final = {
    "normal": "PRAGMA synchronous = normal",
    "full": "PRAGMA synchronous = full",
}
_CACHED_STATEMENTS: Final = 256


def parse(url: str) -> tuple[str, str | None]:
    """Return the path that *url* names, absolute, and its *synchronous*. Raises PgqueueError."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    synchronous = query.pop("synchronous", None)
    if query:
        raise PgqueueError(f"sqlite:// has no option {min(query)}; there is synchronous=full")
    if parts.netloc:
        raise PgqueueError(
            "sqlite://: three slashes before a path from here, sqlite:///jobs.db, four before one "
            "from the root"
        )
    path = unquote(parts.path)[1:]
    return (path if path in ("", MEMORY) else str(Path(path).resolve())) or MEMORY, synchronous


def connect(path: str, synchronous: str = "normal", *, create: bool = True) -> OwnConnection:
    """Return a connection in WAL mode that begins and ends transactions only when told to.

    Raises SchemaMissing when there is no file and *create* is false.
    """
    if not create and path != MEMORY and not Path(path).exists():
        raise SchemaMissing(f"there is no file {path} yet; run `pgqueue migrate`")
    connection = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
        factory=OwnConnection,
    )
    try:
        if path != MEMORY:
            use_wal(connection)
        connection.execute(SYNCHRONOUS[synchronous])
        connection.execute("PRAGMA temp_store = memory")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
    except BaseException:
        connection.close()
        raise
    return connection


def use_wal(connection: sqlite3.Connection) -> None:
    """Set WAL mode, which the file keeps; do nothing while another connection uses the file.

    In that case the next connection sets it; until then readers and writers wait for each other.
    """
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = wal")


def path_of(connection: sqlite3.Connection) -> str:
    """Return the path of the file below *connection*."""
    cursor = connection.cursor()
    cursor.row_factory = None
    paths = {name: path for _, name, path in cursor.execute("PRAGMA database_list")}
    return paths.get("main") or MEMORY


class WriteLock(Protocol):
    """A lock that writers queue for, instead of trying SQLite's own again and again."""

    def take(self) -> None: ...

    def give(self) -> None: ...


def begin(connection: sqlite3.Connection, write_lock: WriteLock | None) -> None:
    """Begin a transaction that holds SQLite's lock, behind all who wait for *write_lock*.

    SQLite gives its lock to whoever finds it free, and waiting connections look less and less
    often: one busy writer would hold up all others for seconds. *write_lock* is released once
    SQLite's lock is held: the next writer then waits for SQLite's, which has a timeout.
    """
    if write_lock is not None:
        write_lock.take()
    try:  # not BEGIN: a transaction that has read may be refused its write
        connection.execute("BEGIN IMMEDIATE")
    finally:
        if write_lock is not None:
            write_lock.give()


class FileWriteLock:
    """An flock on a file beside the database; each connection has a descriptor of its own."""

    def __init__(self, path: str) -> None:
        folder = Path(f"{path}-locks")
        folder.mkdir(exist_ok=True)
        self._path = folder / "turn"
        self._descriptor = self._open()
        self._guard = threading.Lock()
        self._taken: threading.Event | None = None  # while a thread waits for the lock
        self._wanted = False
        on_fork(self, FileWriteLock._anew)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def _anew(self) -> None:
        """Reopen the lock file in a forked child, which has no other threads.

        An flock belongs to the open file: the child would hold its parent's lock even after the
        parent's death.
        """
        if self._descriptor < 0:
            return
        self._guard, self._taken = threading.Lock(), None
        descriptor = self._open()
        os.dup2(descriptor, self._descriptor, inheritable=False)
        os.close(descriptor)

    def take(self, seconds: float | None = None) -> None:
        """Queue for the lock. Raises StoreBusy after *seconds*, by default SQLite's own time.

        An flock has no timeout, so a thread waits for it. To ask again and again instead would be
        to come last, behind all who wait. A thread that is given up waits on, so that the next call
        has its place in the queue; if nobody has called by then, it releases the lock at once.
        """
        if self._taken is None and _locked(self._descriptor):
            return
        with self._guard:
            self._wanted = True
            if (taken := self._taken) is None:
                taken = threading.Event()
                threading.Thread(
                    target=self._wait, args=[taken], name="pgqueue-turn", daemon=True
                ).start()
                self._taken = taken  # not before: a process may be allowed no more threads
        try:
            in_time = taken.wait(BUSY_SECONDS if seconds is None else seconds)
        except BaseException:
            self._give_up(taken)
            raise
        if not in_time:
            self._give_up(taken)
            raise locked("database is locked")

    def _wait(self, taken: threading.Event) -> None:
        descriptor = self._descriptor
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with self._guard:
            self._taken = None
            taken.set()
            if not self._wanted:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            if self._descriptor < 0:
                os.close(descriptor)

    def _give_up(self, taken: threading.Event) -> None:
        with self._guard:
            self._wanted = False
            if taken.is_set():
                self.give()

    def give(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        with self._guard:
            descriptor, self._descriptor = self._descriptor, -1  # its number may become another's
            if self._taken is None:
                os.close(descriptor)


class CallersWriteLock:
    """The write lock of a caller's own connection, for one transaction.

    The caller writes without it where it cannot be had, because the folder is another user's, and
    where it would wait longer than *connection* waits for SQLite: whoever has the turn may itself
    wait for a transaction that stays open.
    """

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._lock: FileWriteLock | None = None

    def take(self) -> None:
        try:
            lock = FileWriteLock(self._path)
        except OSError:
            return
        try:
            lock.take(_busy_seconds(self._connection))
            self._lock = lock
        except StoreBusy:
            pass
        finally:
            if self._lock is None:
                lock.close()

    def give(self) -> None:
        if self._lock is not None:
            self._lock.give()  # closing alone would not, where a forked child has the file open
            self._lock.close()


def turn_of(connection: sqlite3.Connection) -> WriteLock | None:
    """Return the lock for which *connection*, a caller's, queues to write; None in a transaction
    that it ends itself: it may stay open for long."""
    if not commits_alone(connection) or (path := path_of(connection)) == MEMORY:
        return None
    return CallersWriteLock(path, connection)


def commits_alone(connection: sqlite3.Connection) -> bool:
    """Would a statement commit by itself, by `autocommit` of Python 3.12 or `isolation_level`?"""
    if connection.in_transaction:
        return False
    autocommit = getattr(connection, "autocommit", -1)
    return connection.isolation_level is None if autocommit == -1 else bool(autocommit)


def _busy_seconds(connection: sqlite3.Connection) -> float:
    """Return how long *connection* waits for SQLite's lock."""
    cursor = connection.cursor()
    cursor.row_factory = None
    milliseconds: int = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
    return milliseconds / 1000


class Presence(Protocol):
    """Which workers live: each holds a lock."""

    def hold(self, worker: int) -> bool:
        """Show that *worker* lives until this process ends or lets go; False if another process
        holds the lock."""
        ...

    def let_go(self, worker: int) -> None: ...

    def held(self) -> list[int]:
        """Return the workers that live."""
        ...


_lives: set[int] = set()  # descriptors whose locks show that workers live


def _forget_lives() -> None:
    """Close them in a forked child, which would otherwise keep its parent's workers alive."""
    while _lives:
        os.close(_lives.pop())


os.register_at_fork(after_in_child=_forget_lives)


class FilePresence:
    """A locked file for each worker: the kernel frees the lock when the process ends, for any
    reason."""

    def __init__(self, path: str, schema: str) -> None:
        self._folder = Path(f"{path}-locks")
        self._prefix = f"{schema}-worker-"
        self._mine: dict[int, int] = {}

    def hold(self, worker: int) -> bool:
        self._folder.mkdir(exist_ok=True)
        file = self._folder / f"{self._prefix}{worker}"
        while True:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            if not _locked(descriptor):
                os.close(descriptor)
                return False
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(descriptor).st_ino == file.stat().st_ino:
                    self._mine[worker] = descriptor
                    _lives.add(descriptor)
                    return True
            os.close(descriptor)  # another process has removed this file meanwhile

    def let_go(self, worker: int) -> None:
        if (descriptor := self._mine.pop(worker, None)) is not None:
            with contextlib.suppress(FileNotFoundError):
                (self._folder / f"{self._prefix}{worker}").unlink()
            if descriptor in _lives:
                _lives.discard(descriptor)
                os.close(descriptor)

    def held(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return [worker for worker in self._named() if self._is_held(worker)]

    def _named(self) -> Iterator[int]:
        for entry in os.scandir(self._folder):
            number = entry.name.removeprefix(self._prefix)
            if number != entry.name and number.isdigit():
                yield int(number)

    def _is_held(self, worker: int) -> bool:
        """Does *worker* hold its lock? If not, take the lock and remove the file."""
        file = self._folder / f"{self._prefix}{worker}"
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            if not _locked(descriptor):
                return True
            file.unlink(missing_ok=True)
            return False
        finally:
            os.close(descriptor)


def identity_of(path: str) -> dict[str, str]:
    """Return what tells the file at *path* from its copies: a number in a file beside it, and its
    place.

    So another file under the same name, a restored backup for instance, is the same store; a copy
    elsewhere is not, with its folder or without. Empty for a file that nobody else sees.
    """
    if path == MEMORY:
        return {}
    mark = Path(f"{path}-locks", "home")
    try:
        mark.parent.mkdir(exist_ok=True)
        if not mark.exists():
            fresh = mark.with_name(f"home-{secrets.token_hex(8)}")
            fresh.write_text(secrets.token_hex(16), "ascii")
            with contextlib.suppress(FileExistsError):
                os.link(fresh, mark)
            fresh.unlink()
        return {"file": f"{mark.read_text('ascii')} {mark.stat().st_ino}"}
    except OSError:
        return {}


class MemoryPresence:
    """The workers of this process: no other process can see a database in memory."""

    def __init__(self) -> None:
        self._workers: set[int] = set()

    def hold(self, worker: int) -> bool:
        if worker in self._workers:
            return False
        self._workers.add(worker)
        return True

    def let_go(self, worker: int) -> None:
        self._workers.discard(worker)

    def held(self) -> list[int]:
        return list(self._workers)


class MemoryWriteLock:
    """A lock of this process, since all its threads share one connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def take(self) -> None:
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise locked("database is locked")

    def give(self) -> None:
        self._lock.release()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
