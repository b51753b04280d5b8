"""The one place where psycopg's errors become pgqueue's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pgqueue.errors import SchemaMissing, SchemaOutOfDate, StoreBusy, StoreUnavailable

_MISSING = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
_OLD = (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction)
_BUSY = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
)
# Connection exceptions, too many connections, shutdowns and starts, a primary that became a
# standby, and a session that was idle for too long, because its process was frozen.
_AWAY = ("08", "53300", "57P", "25006", "25P03")
# A full or failing disk, no memory, and a statement that somebody cancelled: all of it was rolled
# back, and nothing is wrong with it.
_TROUBLE = ("53", "57014", "58")


@contextmanager
def translated(*, transient: bool = True) -> Iterator[None]:
    """Maps what psycopg raises.

    Not *transient*: the caller owns the transaction, and retries it by the driver's own errors.
    """
    try:
        yield
    except _MISSING as error:
        raise SchemaMissing() from error
    except _OLD as error:
        raise SchemaOutOfDate() from error
    except _BUSY as error:
        if not transient:
            raise
        raise StoreBusy(f"another transaction holds what this one needs: {_line(error)}") from error
    except psycopg.Error as error:
        connection = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
        if (error.sqlstate or ("08" if connection else "")).startswith(_AWAY):
            raise StoreUnavailable(f"PostgreSQL cannot be reached: {_line(error)}") from error
        if transient and (error.sqlstate or "").startswith(_TROUBLE):
            raise StoreBusy(f"PostgreSQL is in trouble: {_line(error)}") from error
        raise


def _line(error: BaseException) -> str:
    """The first line: what follows may repeat the statement."""
    return str(error).strip().partition("\n")[0]
