"""The one place where psycopg's errors become pgqueue's.

They lose the server's DETAIL here: it shows the row that a constraint refused, arguments included.
"""

from __future__ import annotations

import psycopg

from pgqueue.errors import (
    NotPermitted,
    PgqueueError,
    SchemaMissing,
    SchemaOutOfDate,
    StoreBusy,
    StoreUnavailable,
    UnstorableText,
)

_MISSING = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
_OLD = (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction)
_BUSY = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
)
_TEXT = (psycopg.errors.UntranslatableCharacter, psycopg.errors.CharacterNotInRepertoire)
_TELLING = frozenset(
    kind.sqlstate for kind in (*_MISSING, *_OLD, *_TEXT, psycopg.errors.InsufficientPrivilege)
)
# Without a SQLSTATE an error comes from the driver, not from the server. InternalError: the server
# sent something that is no answer, as when it is shut down between two statements.
_CONNECTION = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
# Connection exceptions; too many connections; shutdowns and starts; a session that was idle for too
# long, as its process was frozen; a transaction that took too long.
_AWAY = ("08", "53300", "57P", "25P03", "25P04")
# A full or failing disk, no memory, a statement that somebody cancelled. All of it was rolled back,
# and the statement itself is sound: it can be tried again.
_TROUBLE = ("53", "57014", "58")


class translated:
    """Raise pgqueue's errors for psycopg's; an error that it does not know keeps only its first
    line.

    Not *transient*: the caller owns the transaction, and decides about retries by the driver's own
    errors.
    """

    def __init__(self, *, transient: bool = True) -> None:
        self._transient = transient

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            translate(error, self._transient)


def translate(error: BaseException, transient: bool) -> None:
    """Raise pgqueue's error for *error*, if there is one."""
    if isinstance(error, psycopg.Error):
        error.args = (_line(error),)
        if (ours := _ours(error, transient)) is not None:
            raise ours from error


def _ours(error: psycopg.Error, transient: bool) -> PgqueueError | None:
    state = error.sqlstate or ("08" if isinstance(error, _CONNECTION) else "")
    if isinstance(error, _MISSING):
        return SchemaMissing()
    if isinstance(error, _OLD):
        return SchemaOutOfDate()
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        # Recognised by the name of the server's function: the message is in the server's language.
        if error.diag.source_function == "ExecWithCheckOptions":
            return NotPermitted(f"{error}; `pgqueue doctor` says what helps")
        return NotPermitted(f"{error}; the schema's owner runs `pgqueue grant`")
    if isinstance(error, _TEXT):
        return UnstorableText(f"the database's encoding cannot hold this text: {error}")
    if state == "25006":
        return StoreUnavailable(
            f"PostgreSQL takes no writes, as a standby or in a read-only transaction: {error}"
        )
    if state.startswith(_AWAY):
        return StoreUnavailable(f"PostgreSQL cannot be reached: {error}")
    if isinstance(error, _BUSY) and transient:
        return StoreBusy(f"another transaction holds what this one needs: {error}")
    if state.startswith(_TROUBLE) and transient:
        return StoreBusy(f"PostgreSQL is in trouble: {error}")
    return None


def of_state(state: str | None, error: BaseException) -> PgqueueError | None:
    """Return ours for *error* of any driver's, whose SQLSTATE says what is wrong with the queue."""
    if state is None or state not in _TELLING:
        return None
    kind = psycopg.errors.lookup(state)
    if issubclass(kind, _MISSING):
        return SchemaMissing()
    if issubclass(kind, _OLD):
        return SchemaOutOfDate()
    line = str(error).strip().partition("\n")[0]
    if issubclass(kind, _TEXT):
        return UnstorableText(f"the database's encoding cannot hold this text: {line}")
    return NotPermitted(f"{line}; the schema's owner runs `pgqueue grant`")


def is_read_only(error: BaseException) -> bool:
    """Has the server refused a write, as one does that was the primary?"""
    found: BaseException | None = error
    while found is not None and not isinstance(found, psycopg.errors.ReadOnlySqlTransaction):
        found = found.__cause__
    return found is not None


def _line(error: psycopg.Error) -> str:
    """Return the first line, and the cure. The lines after it may repeat the statement or the
    row."""
    line = str(error).strip().partition("\n")[0]
    hint = error.diag.message_hint
    return f"{line} ({hint})" if hint else line
