"""The one place where sqlite3's errors become pgqueue's."""

from __future__ import annotations

import sqlite3

from pgqueue.errors import (
    PgqueueError,
    SchemaMissing,
    SchemaOutOfDate,
    StoreBusy,
    StoreUnavailable,
)

_AWAY = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
)
_SPOILED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def is_busy(error: sqlite3.Error) -> bool:
    """Does another connection hold the lock?"""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def locked(text: str) -> StoreBusy:
    """Return the error of a write that has waited too long for other writers."""
    return StoreBusy(
        f"{text}: another transaction has been writing all the while; SQLite has one writer at "
        "a time, so keep transactions short, and inside one use its own connection"
    )


def translated(error: sqlite3.Error, path: str | None = None) -> Exception:
    """Return the exception to raise instead of *error*: pgqueue's, or *error* itself if there is
    none.

    *path*: the file, where it is known.
    """
    text = str(error)
    if is_busy(error):
        return locked(text)
    if text.startswith("no such table"):
        return SchemaMissing()
    if text.startswith(("no such column", "table")) and "column" in text:
        return SchemaOutOfDate()
    if _code(error) in _AWAY:
        return StoreUnavailable.of_file(path, text)
    if _code(error) in _SPOILED:
        return PgqueueError(
            f"{StoreUnavailable.of_file(path, text)}; name another, or bring it back from a backup"
        )
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in text:
        return StoreUnavailable(text)
    return error


def _code(error: sqlite3.Error) -> int:
    """Return its primary result code, without the extension."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
