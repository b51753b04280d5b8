"""Numbers that transactions draw: none is given twice, even when a transaction is rolled back.

SQLite has no sequences, and a transaction that is rolled back leaves nothing in the file. But the
code that enqueued in it has seen the ids, and may ask for them later. So the largest number is
noted beside the file, in eight bytes that all processes map. Only a holder of SQLite's write lock
reads and notes it: statements call a function for that, which each connection gets when it first
needs it.
"""

from __future__ import annotations

import mmap
import os
import sqlite3
from pathlib import Path
from typing import Final

from pgqueue.backends.sqlite.file import MEMORY, path_of

SUFFIX: Final = "_drawn"
_MISSING: Final = "no such function: "
_BYTES: Final = 8


def missing(error: sqlite3.OperationalError) -> str | None:
    """Return the name of the function of ours that a statement called and its connection lacks;
    None for any other error."""
    name = str(error).removeprefix(_MISSING)
    return name if name != str(error) and name.endswith(SUFFIX) else None


def give(connection: sqlite3.Connection, function: str) -> None:
    """Give *connection* the function that reads the largest number, or the one that notes it."""
    numbers = _numbers(path_of(connection), function.removesuffix(SUFFIX))

    def drawn(*number: int) -> int:
        if number and number[0] > numbers[0]:
            numbers[0] = number[0]
        return numbers[0]

    connection.create_function(function, -1, drawn)


def _numbers(path: str, schema: str) -> memoryview:
    """Return the eight bytes as one number.

    Where no file can lie beside the database, or nobody else sees the database, they are this
    connection's own.
    """
    if path != MEMORY:
        try:
            file = Path(f"{path}-locks", f"{schema}-numbers")
            file.parent.mkdir(exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                if os.fstat(descriptor).st_size < _BYTES:
                    os.ftruncate(descriptor, _BYTES)
                return memoryview(mmap.mmap(descriptor, _BYTES)).cast("q")
            finally:
                os.close(descriptor)
        except OSError:
            pass
    return memoryview(bytearray(_BYTES)).cast("q")
