"""Connections of pgqueue's own to a SQLite file, each used by one thread at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol, TypeAlias, TypeVar, TypeVarTuple

from pgqueue.backends import plans
from pgqueue.backends.sqlite import file as sqlite_file
from pgqueue.backends.sqlite.errors import translated
from pgqueue.backends.sqlite.file import (
    MEMORY,
    FilePresence,
    FileWriteLock,
    MemoryPresence,
    MemoryWriteLock,
    Presence,
)
from pgqueue.backends.sqlite.own_connection import OwnConnection
from pgqueue.backends.sqlite.running import SqliteRunner
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation
from pgqueue.statements.files import head, schema_files
from pgqueue.statements.files import in_schema as with_prefix
from pgqueue.statements.sql import Statement, shortest, split

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SPARE: Final = 8


def patiently(work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Do *work*, and repeat it while somebody else is writing. Raises StoreBusy in the end."""
    # Fewer attempts than on other stores: each waits for SQLite's whole busy timeout.
    return plans.patiently(work, *arguments, attempts=5)


Place: TypeAlias = tuple[int, int]


def place_of(path: str) -> Place | None:
    """Return which file is at *path* now, by device and inode; None where there is none.

    The file is not opened: closing it would drop the locks of all our connections to it.
    """
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


class PooledConnection:
    """A connection, and the lock that it takes to write."""

    def __init__(
        self,
        connection: OwnConnection,
        write_lock: FileWriteLock | None,
        presence: Presence,
        statements: Mapping[str, Statement],
        synchronous: str = "normal",
        place: Place | None = None,
    ) -> None:
        self.connection = connection
        self.place = place
        self.synchronous = synchronous
        self.executor = SqliteRunner(connection, statements, presence.held)
        self._statements = statements
        self._write_lock = write_lock

    def execute(self, operation: Operation[T]) -> T:
        """Carry out *operation* in a transaction of its own."""
        executor, connection = self.executor, self.connection
        operation, statement = shortest(operation, self._statements)
        write_lock = self._write_lock if statement.writes else None
        if write_lock is not None:
            write_lock.take()
        try:
            if statement.atomic:  # SQLite begins and commits by itself
                return executor.execute(operation)
            connection.execute("BEGIN IMMEDIATE" if statement.writes else "BEGIN")
            answer = executor.execute(operation)
            connection.execute("COMMIT")
            return answer
        except BaseException as error:
            self.roll_back()
            if isinstance(error, sqlite3.Error):
                raise translated(error) from error
            raise
        finally:
            if write_lock is not None:
                write_lock.give()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is executed in the block, or roll it back."""
        patiently(self.begin)
        try:
            yield
            self.commit()
        except BaseException as error:
            self.roll_back()
            if isinstance(error, sqlite3.Error):
                raise translated(error) from error
            raise

    def begin(self) -> None:
        try:
            sqlite_file.begin(self.connection, self._write_lock)
        except sqlite3.Error as error:
            raise translated(error) from error

    def commit(self) -> None:
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise translated(error) from error

    def roll_back(self) -> None:
        if self.connection.in_transaction:
            self.connection.rollback()

    def close(self) -> None:
        self.connection.close()
        if self._write_lock is not None:
            self._write_lock.close()


class Pool(Protocol):
    """A pool of connections to one database."""

    presence: Presence

    def take(self, *, durable: bool = True) -> PooledConnection: ...

    def give(self, pooled: PooledConnection) -> None: ...

    def watch(self) -> Watch:
        """Return a watch for commits."""
        ...

    def close(self) -> None: ...


class Watch(Protocol):
    """Shows commits of other connections: each changes *version*."""

    def check(self) -> None:
        """Raise StoreUnavailable when the file is gone or was replaced."""
        ...

    def version(self) -> int: ...

    def close(self) -> None: ...


class FilePool:
    """As many connections as are used at once, and a few spare ones; after a fork, none of the
    parent's."""

    def __init__(
        self, path: str, schema: str, synchronous: str, statements: Mapping[str, Statement]
    ) -> None:
        self.presence: Presence = FilePresence(path, schema)
        self._path = path
        self._schema = schema
        self._synchronous = synchronous
        self._statements = statements
        self._spare: dict[str, deque[PooledConnection]] = {"normal": deque(), "full": deque()}
        self._pid = os.getpid()
        self._ready: Place | None = None

    def take(self, *, durable: bool = True) -> PooledConnection:
        synchronous = self._synchronous if durable else "normal"
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._parents = self._spare  # not closed: SQLite forbids that in a forked child
            self._spare = {"normal": deque(), "full": deque()}
        place = place_of(self._path)
        while True:
            try:
                pooled = self._spare[synchronous].pop()
            except IndexError:
                return self._connect(synchronous, place)
            if pooled.place == place:
                return pooled
            pooled.close()  # the file was replaced: writes there would be lost

    def _connect(self, synchronous: str, place: Place | None) -> PooledConnection:
        try:
            connection = sqlite_file.connect(self._path, synchronous)
            try:
                write_lock = FileWriteLock(self._path)
                statements, presence = self._statements, self.presence
                pooled = PooledConnection(
                    connection, write_lock, presence, statements, synchronous, place
                )
                if place is None or self._ready != place:
                    make_ready(pooled, self._schema, statements)
                    pooled.place = self._ready = place or place_of(self._path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        except OSError as error:
            raise StoreUnavailable.of_file(self._path, str(error)) from error
        return pooled

    def give(self, pooled: PooledConnection) -> None:
        spare = self._spare[pooled.synchronous]
        if len(spare) < _SPARE and not pooled.connection.in_transaction:
            spare.append(pooled)
        else:
            pooled.close()

    def watch(self) -> Watch:
        return _FileWatch(self._path)

    def close(self) -> None:
        for spare in self._spare.values():
            while spare:
                spare.pop().close()


class MemoryPool:
    """One connection to a database in memory, which all threads take in turn."""

    def __init__(self, schema: str, statements: Mapping[str, Statement]) -> None:
        self.presence: Presence = MemoryPresence()
        self._write_lock = MemoryWriteLock()
        self._pooled = PooledConnection(
            sqlite_file.connect(MEMORY), None, self.presence, statements
        )
        make_ready(self._pooled, schema, statements)

    def take(self, *, durable: bool = True) -> PooledConnection:
        self._write_lock.take()
        return self._pooled

    def give(self, pooled: PooledConnection) -> None:
        self._write_lock.give()

    def watch(self) -> Watch:
        return _MemoryWatch(self._pooled.connection)

    def close(self) -> None:
        pass  # with its connection the database would be gone


class _FileWatch:
    """A connection that never writes: its `data_version` changes when another one commits."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._place = place_of(path)
        self._connection = sqlite_file.connect(path)
        self._connection.execute("PRAGMA busy_timeout = 0")

    def version(self) -> int:
        try:
            number: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            return number
        except sqlite3.OperationalError:
            return -1  # locked exclusively: somebody is about to change it

    def check(self) -> None:
        if self._place is None or self._place != place_of(self._path):
            raise StoreUnavailable(f"the file {self._path} is gone, or was replaced by another")

    def close(self) -> None:
        self._connection.close()


class _MemoryWatch:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def version(self) -> int:
        return self._connection.total_changes

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


def make_ready(pooled: PooledConnection, schema: str, statements: Mapping[str, Statement]) -> None:
    """Make or upgrade the tables, if the file holds nothing else.

    A file that an application shares is migrated by the application.
    """
    connection = pooled.connection
    if not _wants_tables(connection, statements):
        return
    with pooled.transaction():
        if not _wants_tables(connection, statements):
            return
        made = _version(connection, statements)
        for file in schema_files("sqlite"):
            if file.version > made:
                for step in split(with_prefix(file.up, schema), "named"):
                    connection.execute(step.sql)


def _wants_tables(connection: sqlite3.Connection, statements: Mapping[str, Statement]) -> bool:
    [step] = statements["session/is_dedicated"].steps
    alone, _ = connection.execute(step.sql).fetchone()
    return bool(alone) and _version(connection, statements) < head("sqlite")


def _version(connection: sqlite3.Connection, statements: Mapping[str, Statement]) -> str:
    [step] = statements["session/is_dedicated"].steps
    if not connection.execute(step.sql).fetchone()[1]:
        return ""
    [step] = statements["version"].steps
    version: str = connection.execute(step.sql).fetchone()[0]
    return version or ""
