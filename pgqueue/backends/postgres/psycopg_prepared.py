"""Send a statement that psycopg has prepared on the caller's connection, without a cursor.

A cursor is most of what one job costs its client, and more where many processes share a core.
psycopg keeps track of what is prepared, by which name, also after a ROLLBACK, a DISCARD or a DROP,
but in a private attribute. If another version keeps it elsewhere, no name is found here, and a
cursor sends the statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from psycopg import AsyncConnection, Connection
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.generators import execute
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from pgqueue.operations import Param, Rows
from pgqueue.statements.sql import Step

AnyConnection: TypeAlias = Connection[Any] | AsyncConnection[Any]

_IDLE: Final = TransactionStatus.IDLE
_INTRANS: Final = TransactionStatus.INTRANS
_TUPLES_OK: Final = ExecStatus.TUPLES_OK
_INT8: Final = 20
# Parameters of type 0: the server infers the type, as it does for psycopg's str.
_TYPES: Final = [(0,) * count for count in range(20)]


def prepared_name(connection: AnyConnection, step: Step) -> bytes | None:
    """Return the name by which *step* is prepared; None where a cursor must send it.

    Outside autocommit a cursor begins the transaction; outside UTF-8 it recodes texts.
    """
    pgconn = connection.pgconn
    status = pgconn.transaction_status
    if status != _INTRANS and not (status == _IDLE and connection.autocommit):
        return None
    try:
        name: bytes | None = connection._prepared._names.get((step.text, _TYPES[len(step.params)]))
    except AttributeError:
        return None
    return name if name and pgconn.parameter_status(b"client_encoding") == b"UTF8" else None


def encode(step: Step, params: Mapping[str, Param]) -> list[bytes | None] | None:
    """Return the parameters as libpq takes them; None where one has a NUL.

    libpq would cut the text there; psycopg's cursor refuses it.
    """
    values = [params[name] for name in step.params]
    if "\0" in "".join(filter(None, values)):
        return None
    return [None if value is None else value.encode() for value in values]


def fetch(connection: AnyConnection, name: bytes, params: Sequence[bytes | None]) -> PQGen[Rows]:
    """Ask the server, and return its rows; to be run by `connection.wait`, under the connection's
    lock."""
    pgconn = connection.pgconn
    pgconn.send_query_prepared(name, params)
    results = yield from execute(pgconn)
    return _read(connection, results[-1])


def _read(connection: AnyConnection, result: PGresult) -> Rows:
    if result.status != _TUPLES_OK:
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result, encoding="utf-8")
        return []
    if result.ntuples == result.nfields == 1 and result.ftype(0) == _INT8:
        value = result.get_value(0, 0)
        return [(None if value is None else int(value),)]
    adapted = Transformer(connection)
    adapted.set_pgresult(result)
    return adapted.load_rows(0, result.ntuples, tuple)
