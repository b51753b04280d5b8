"""Carry operations out on a connection of psycopg's: each in one round trip and one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from psycopg import AsyncConnection, AsyncRawCursor, Connection, RawCursor
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import tuple_row
from psycopg.waiting import Ready, Wait

from pgqueue.backends.plans import cancellable
from pgqueue.backends.postgres.psycopg_prepared import encode, fetch, prepared_name
from pgqueue.operations import Operation, Rows
from pgqueue.statements.rounds import asked, asked_async, rounds
from pgqueue.statements.sql import Statement, Step, shortest

T = TypeVar("T")
_IDLE = TransactionStatus.IDLE


class BlockingRunner:
    """Operations on a blocking connection; in the caller's transaction, if there is one."""

    def __init__(self, connection: Connection[Any], statements: Mapping[str, Statement]) -> None:
        self._connection = connection
        self._statements = statements

    def execute(self, operation: Operation[T]) -> T:
        """Run the steps in one round trip, in a transaction of their own if none is open."""
        operation, statement = shortest(operation, self._statements)
        connection = self._connection
        if statement.atomic and not connection.pgconn.pipeline_status:
            step = statement.steps[0]
            name = prepared_name(connection, step)
            if name and (params := encode(step, operation.params)) is not None:
                with connection.lock:
                    return operation.decode([connection.wait(fetch(connection, name, params))])
            return operation.decode([_rows(self._send(step, operation))])
        own = is_idle(connection)
        asking = rounds(statement, own=own)
        try:
            return operation.decode(asked(asking, partial(self._ask, operation)))
        except BaseException:
            if own and not connection.closed:
                connection.rollback()
            raise

    def _ask(self, operation: Operation[Any], steps: Sequence[Step]) -> list[Rows]:
        """Send *steps* together, and return their answers."""
        with self._connection.pipeline() as pipeline:
            cursors = [self._send(step, operation) for step in steps]
            _flush(self._connection)
            pipeline.sync()
            return [_rows(cursor) for cursor in cursors]

    def together(self, operations: Iterable[Operation[T]]) -> list[T]:
        """Send each operation while the server works on those before, in a transaction that is
        open."""
        connection = self._connection
        if connection.pgconn.pipeline_status:
            return [self.execute(operation) for operation in operations]
        sent: list[tuple[Operation[T], list[RawCursor[Any]]]] = []
        answers: list[T] = []
        with connection.pipeline() as pipeline:
            for operation in operations:
                operation, statement = shortest(operation, self._statements)
                sent.append((operation, [self._send(step, operation) for step in statement.steps]))
                _flush(connection)
                if sent[len(answers)][1][-1].pgresult is not None:  # read answers that have come
                    asked, cursors = sent[len(answers)]
                    answers.append(asked.decode([_rows(cursor) for cursor in cursors]))
            pipeline.sync()
            for asked, cursors in sent[len(answers) :]:
                answers.append(asked.decode([_rows(cursor) for cursor in cursors]))
        return answers

    def _send(self, step: Step, operation: Operation[Any]) -> RawCursor[Any]:
        cursor = RawCursor(self._connection, row_factory=tuple_row)
        return cursor.execute(step.text, step.bind(operation.params))


class AsyncioRunner:
    """Operations on an asyncio connection; in the caller's transaction, if there is one.

    A transaction of the operation's own begins with *settings*.
    """

    def __init__(
        self,
        connection: AsyncConnection[Any],
        statements: Mapping[str, Statement],
        settings: Operation[None] | None = None,
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._settings = settings

    async def execute(self, operation: Operation[T]) -> T:
        """Run the steps in one round trip, in a transaction of their own if none is open."""
        # When cancelled, psycopg ends the query, and we end the transaction. If the connection
        # breaks meanwhile, its error would replace the cancellation.
        with cancellable():
            return await self._execute(operation)

    async def _execute(self, operation: Operation[T]) -> T:
        operation, statement = shortest(operation, self._statements)
        settings, connection = self._settings, self._connection
        if statement.atomic and not settings and not connection.pgconn.pipeline_status:
            step = statement.steps[0]
            name = prepared_name(connection, step)
            if name and (params := encode(step, operation.params)) is not None:
                async with connection.lock:
                    rows = await connection.wait(fetch(connection, name, params))
                return operation.decode([rows])
            return operation.decode([await _rows_async(await self._send(step, operation))])
        own = is_idle(connection)
        first: Sequence[Step] = ()
        if settings is not None:
            first = self._statements[settings.name].steps
            both = {**operation.params, **settings.params}
            operation = Operation(operation.name, both, operation.decode)
        asking = rounds(statement, own=own, settings=first)
        try:
            return operation.decode(await asked_async(asking, partial(self._ask, operation)))
        except BaseException:
            if own and not connection.closed:
                await connection.rollback()
            raise

    async def _ask(self, operation: Operation[Any], steps: Sequence[Step]) -> list[Rows]:
        """Send *steps* together, and return their answers."""
        async with self._connection.pipeline() as pipeline:
            cursors = [await self._send(step, operation) for step in steps]
            await _flush_async(self._connection)
            await pipeline.sync()
            return [await _rows_async(cursor) for cursor in cursors]

    async def together(self, operations: Iterable[Operation[T]]) -> list[T]:
        """Send each operation while the server works on those before, in a transaction that is
        open."""
        connection = self._connection
        if connection.pgconn.pipeline_status:
            return [await self.execute(operation) for operation in operations]
        sent: list[tuple[Operation[T], list[AsyncRawCursor[Any]]]] = []
        answers: list[T] = []
        with cancellable():
            async with connection.pipeline() as pipeline:
                for operation in operations:
                    operation, statement = shortest(operation, self._statements)
                    steps = [await self._send(step, operation) for step in statement.steps]
                    sent.append((operation, steps))
                    await _flush_async(connection)
                    if sent[len(answers)][1][-1].pgresult is not None:
                        asked, cursors = sent[len(answers)]
                        answers.append(asked.decode([await _rows_async(c) for c in cursors]))
                await pipeline.sync()
                for asked, cursors in sent[len(answers) :]:
                    answers.append(asked.decode([await _rows_async(c) for c in cursors]))
        return answers

    async def _send(self, step: Step, operation: Operation[Any]) -> AsyncRawCursor[Any]:
        cursor = AsyncRawCursor(self._connection, row_factory=tuple_row)
        return await cursor.execute(step.text, step.bind(operation.params))


def _rows(cursor: RawCursor[Any]) -> Rows:
    return cursor.fetchall() if _answers(cursor) else []


async def _rows_async(cursor: AsyncRawCursor[Any]) -> Rows:
    return await cursor.fetchall() if _answers(cursor) else []


def _answers(cursor: RawCursor[Any] | AsyncRawCursor[Any]) -> bool:
    """Does the statement return rows? `cursor.description` would make an object for each column."""
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0


def is_idle(connection: Connection[Any] | AsyncConnection[Any]) -> bool:
    """Would each statement commit by itself? Outside autocommit psycopg opens the transaction."""
    return connection.autocommit and connection.pgconn.transaction_status == _IDLE


def has_two_phases(connection: Connection[Any] | AsyncConnection[Any]) -> bool:
    """Was its transaction begun by `tpc_begin`, perhaps by SQLAlchemy's ``twophase=True``?

    psycopg has no public attribute for that. A transaction that the caller ends with a PREPARE
    TRANSACTION of its own is not recognised: nothing shows it before its end.
    """
    return getattr(connection, "_tpc", None) is not None


def _flush(connection: Connection[Any]) -> None:
    """Send all that was put into the pipeline.

    psycopg writes what the socket takes at once, and then waits for answers. With a large argument
    a part may not have been sent, and both sides would wait for ever.
    """
    with connection.lock:
        connection.wait(flushed(connection.pgconn))


async def _flush_async(connection: AsyncConnection[Any]) -> None:
    """As `_flush`, without blocking the event loop."""
    async with connection.lock:
        await connection.wait(flushed(connection.pgconn))


def flushed(pgconn: PGconn) -> PQGen[None]:
    """Wait until everything is sent, and read meanwhile.

    A server whose answers nobody reads stops reading, too.
    """
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()
