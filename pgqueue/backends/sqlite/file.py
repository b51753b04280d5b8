"""A SQLite file and what lies beside it: connections, whose turn it is to write, who lives.

Beside `jobs.db` is the folder `jobs.db-locks`. Never is another descriptor of the database file
itself opened: closing it would drop the locks that SQLite holds on it for the whole process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from pgqueue.errors import PgqueueError, SchemaMissing, StoreBusy

MEMORY: Final = ":memory:"
BUSY_SECONDS: Final = 5.0
SYNCHRONOUS: Final = {
    "normal": "PRAGMA synchronous = normal",
    "full": "PRAGMA synchronous = full",
}
_CACHED_STATEMENTS: Final = 256


def parse(url: str) -> tuple[str, str | None]:
    """The path that *url* names, absolute, and its *synchronous*. Raises PgqueueError."""
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


def connect(path: str, synchronous: str = "normal", *, create: bool = True) -> sqlite3.Connection:
    """A connection that begins and ends its transactions when it is told to, in WAL mode.

    Raises SchemaMissing when there is no file, and it is not to *create* one.
    """
    if not create and path != MEMORY and not Path(path).exists():
        raise SchemaMissing(f"there is no file {path} yet; run `pgqueue migrate`")
    connection = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
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
    """The mode is the file's, and stays. While somebody uses the file it cannot be changed: then
    the next who connects does it, and meanwhile readers and writers wait for each other."""
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = wal")


def path_of(connection: sqlite3.Connection) -> str:
    """The file below *connection*."""
    cursor = connection.cursor()
    cursor.row_factory = None
    paths = {name: path for _, name, path in cursor.execute("PRAGMA database_list")}
    return paths.get("main") or MEMORY


class Turn(Protocol):
    """Whoever wants to write waits for it: in a line, not by trying again and again."""

    def take(self) -> None: ...

    def give(self) -> None: ...


class FileTurn:
    """A lock of the operating system on a file beside the database, one for each connection."""

    def __init__(self, path: str) -> None:
        folder = Path(f"{path}-locks")
        folder.mkdir(exist_ok=True)
        self._descriptor = os.open(folder / "turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def take(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def give(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._descriptor)


class Presence(Protocol):
    """Which workers live."""

    def hold(self, worker: int) -> bool:
        """*worker* lives until this process ends, or lets go; False when another session has it."""
        ...

    def let_go(self, worker: int) -> None: ...

    def held(self) -> list[int]:
        """All that live."""
        ...


_lives: set[int] = set()  # descriptors whose locks are workers' lives


def _forget_lives() -> None:
    """A forked child would keep its parent's workers alive."""
    while _lives:
        os.close(_lives.pop())


os.register_at_fork(after_in_child=_forget_lives)


class FilePresence:
    """A locked file a worker: the kernel frees the lock when the process ends, however it does."""

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
            os.close(descriptor)  # it was cleared away under our hands

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
        """Clears the file away when not, under its lock."""
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


class MemoryPresence:
    """The sessions of this process."""

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


class MemoryTurn:
    """A lock, since all share one connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def take(self) -> None:
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise StoreBusy("another transaction has been open all the while on this database")

    def give(self) -> None:
        self._lock.release()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
