"""Connections of pgqueue's own to a SQLite file, each used by one thread at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol, TypeVar, TypeVarTuple

from pgqueue.backends import base
from pgqueue.backends.sqlite import file as sqlite_file
from pgqueue.backends.sqlite.errors import translated
from pgqueue.backends.sqlite.executor import SqliteExecutor
from pgqueue.backends.sqlite.file import (
    MEMORY,
    FilePresence,
    FileTurn,
    MemoryPresence,
    MemoryTurn,
    Presence,
)
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation
from pgqueue.statements import Statement, briefly, head, schema_files, split
from pgqueue.statements import in_schema as with_prefix

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SPARE: Final = 8


def patiently(work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Does *work*, again while somebody else is writing; in the end raises StoreBusy."""
    # Each attempt waits for as long as SQLite does; then others have had their turn.
    return base.patiently(work, *arguments, attempts=5)


class Seat:
    """A connection, and its place in the line of those who want to write."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        turn: FileTurn | None,
        presence: Presence,
        statements: Mapping[str, Statement],
        synchronous: str = "normal",
    ) -> None:
        self.connection = connection
        self.synchronous = synchronous
        self.executor = SqliteExecutor(connection, statements, presence.held)
        self._statements = statements
        self._turn = turn

    def execute(self, operation: Operation[T]) -> T:
        """Carries out *operation* in a transaction of its own."""
        executor, connection = self.executor, self.connection
        operation, statement = briefly(operation, self._statements)
        turn = self._turn if statement.writes else None
        if turn is not None:
            turn.take()
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
            if turn is not None:
                turn.give()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """What is executed inside commits together. It keeps the lock, but not its turn: whoever is
        next waits for the lock, and not for ever."""
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
        if self._turn is not None:
            self._turn.take()
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise translated(error) from error
        finally:
            if self._turn is not None:
                self._turn.give()

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
        if self._turn is not None:
            self._turn.close()


class Pool(Protocol):
    """Where connections come from."""

    presence: Presence

    def take(self, *, durable: bool = True) -> Seat: ...

    def give(self, seat: Seat) -> None: ...

    def watch(self) -> Watch:
        """Something that sees whether anything was committed."""
        ...

    def check(self) -> None:
        """Raises StoreUnavailable when the file is another one by now, or gone."""
        ...

    def close(self) -> None: ...


class Watch(Protocol):
    """A number that changes with each commit of somebody else."""

    def version(self) -> int: ...

    def close(self) -> None: ...


class FilePool:
    """As many connections as are used at once, a few kept; after a fork none of the parent's."""

    def __init__(
        self, path: str, schema: str, synchronous: str, statements: Mapping[str, Statement]
    ) -> None:
        self.presence: Presence = FilePresence(path, schema)
        self._path = path
        self._schema = schema
        self._synchronous = synchronous
        self._statements = statements
        self._spare: dict[str, deque[Seat]] = {"normal": deque(), "full": deque()}
        self._pid = os.getpid()
        self._file: int | None = None

    def take(self, *, durable: bool = True) -> Seat:
        synchronous = self._synchronous if durable else "normal"
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._parents = self._spare  # closing them here would harm the parent's
            self._spare = {"normal": deque(), "full": deque()}
        try:
            return self._spare[synchronous].pop()
        except IndexError:
            return self._connect(synchronous)

    def _connect(self, synchronous: str) -> Seat:
        try:
            connection = sqlite_file.connect(self._path, synchronous)
            try:
                turn = FileTurn(self._path)
                seat = Seat(connection, turn, self.presence, self._statements, synchronous)
                if self._file is None:
                    make_ready(seat, self._schema, self._statements)
                    self._file = Path(self._path).stat().st_ino
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise translated(error) from error
        except OSError as error:
            raise StoreUnavailable(f"SQLite cannot use the file: {error}") from error
        return seat

    def give(self, seat: Seat) -> None:
        spare = self._spare[seat.synchronous]
        if len(spare) < _SPARE and not seat.connection.in_transaction:
            spare.append(seat)
        else:
            seat.close()

    def check(self) -> None:
        try:
            same = Path(self._path).stat().st_ino == self._file
        except OSError:
            same = False
        if not same:
            self.close()
            self._file = None
            raise StoreUnavailable(f"the file {self._path} is gone, or another one by now")

    def watch(self) -> Watch:
        return _FileWatch(self._path)

    def close(self) -> None:
        for spare in self._spare.values():
            while spare:
                spare.pop().close()


class MemoryPool:
    """One connection, which all take in turn."""

    def __init__(self, schema: str, statements: Mapping[str, Statement]) -> None:
        self.presence: Presence = MemoryPresence()
        self._turn = MemoryTurn()
        self._seat = Seat(sqlite_file.connect(MEMORY), None, self.presence, statements)
        make_ready(self._seat, schema, statements)

    def take(self, *, durable: bool = True) -> Seat:
        self._turn.take()
        return self._seat

    def give(self, seat: Seat) -> None:
        self._turn.give()

    def watch(self) -> Watch:
        return _MemoryWatch(self._seat.connection)

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass  # what is in memory lives as long as we do


class _FileWatch:
    """A connection that never writes: SQLite tells it when another one has."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite_file.connect(path)
        self._connection.execute("PRAGMA busy_timeout = 0")

    def version(self) -> int:
        try:
            number: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            return number
        except sqlite3.OperationalError:
            return -1  # somebody has the file for himself, and so is about to change it

    def close(self) -> None:
        self._connection.close()


class _MemoryWatch:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def version(self) -> int:
        return self._connection.total_changes

    def close(self) -> None:
        pass


def make_ready(seat: Seat, schema: str, statements: Mapping[str, Statement]) -> None:
    """Makes the tables, if the file holds nothing else. An application's own file is its own
    matter."""
    connection = seat.connection
    if not _wants_tables(connection, statements):
        return
    with seat.transaction():
        if not _wants_tables(connection, statements):
            return
        made = _version(connection, statements)
        for file in schema_files("sqlite"):
            if file.version > made:
                for step in split(with_prefix(file.up, schema), named=True):
                    connection.execute(step.sql)


def _wants_tables(connection: sqlite3.Connection, statements: Mapping[str, Statement]) -> bool:
    [step] = statements["own"].steps
    alone, _ = connection.execute(step.sql).fetchone()
    return bool(alone) and _version(connection, statements) < head("sqlite")


def _version(connection: sqlite3.Connection, statements: Mapping[str, Statement]) -> str:
    [step] = statements["own"].steps
    if not connection.execute(step.sql).fetchone()[1]:
        return ""
    [step] = statements["version"].steps
    version: str = connection.execute(step.sql).fetchone()[0]
    return version or ""
