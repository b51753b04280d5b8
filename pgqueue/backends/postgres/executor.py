"""Operations carried out on a connection of psycopg's: a round trip each, and a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from psycopg import AsyncConnection, AsyncRawCursor, Connection, RawCursor
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import tuple_row
from psycopg.waiting import Ready, Wait

from pgqueue.backends.base import cancellable
from pgqueue.backends.postgres.known import answered, bound, known
from pgqueue.operations import Operation, Rows
from pgqueue.statements import Statement, Step, briefly

T = TypeVar("T")
_IDLE = TransactionStatus.IDLE

# Whatever the database's default: only a new statement's snapshot sees a child that was being added
# while we waited for its parent.
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"


class Statements:
    """Operations on a blocking connection; in the caller's transaction, if there is one."""

    def __init__(self, connection: Connection[Any], statements: Mapping[str, Statement]) -> None:
        self._connection = connection
        self._statements = statements

    def execute(self, operation: Operation[T]) -> T:
        """Runs the steps in one round trip, with their transaction around them if there is none."""
        operation, statement = briefly(operation, self._statements)
        connection = self._connection
        if statement.atomic and not connection.pgconn.pipeline_status:
            step = statement.steps[0]
            name = known(connection, step)
            if name and (params := bound(step, operation.params)) is not None:
                with connection.lock:
                    return operation.decode([connection.wait(answered(connection, name, params))])
            return operation.decode([_rows(self._send(step, operation))])
        own = is_idle(connection)
        first = statement.unless
        if own and first and (answer := _rows(self._send(first, operation))):
            return operation.decode([answer])
        try:
            with connection.pipeline() as pipeline:
                if own:
                    connection.execute(BEGIN)
                steps = [self._send(step, operation) for step in statement.steps]
                then = [self._send(step, operation) for step in statement.followed_by]
                if own and not statement.repeats:
                    connection.execute("COMMIT")
                _flush(connection)
                pipeline.sync()
                said = steps if statement.repeats else [*steps, *then]
                answers = [_rows(cursor) for cursor in said]
                while statement.repeats and says_again(_rows(cursor) for cursor in then):
                    then = [self._send(step, operation) for step in statement.followed_by]
                    _flush(connection)
                    pipeline.sync()
                if own and statement.repeats:
                    connection.execute("COMMIT")
        except BaseException:
            if own and not connection.closed:
                connection.rollback()
            raise
        return operation.decode(answers)

    def together(self, operations: Iterable[Operation[T]]) -> list[T]:
        """Sends each while the server works on those before; in a transaction that is open."""
        connection = self._connection
        if connection.pgconn.pipeline_status:
            return [self.execute(operation) for operation in operations]
        sent: list[tuple[Operation[T], list[RawCursor[Any]]]] = []
        answers: list[T] = []
        with connection.pipeline() as pipeline:
            for operation in operations:
                operation, statement = briefly(operation, self._statements)
                sent.append((operation, [self._send(step, operation) for step in statement.steps]))
                _flush(connection)
                if sent[len(answers)][1][-1].pgresult is not None:  # read what is there already
                    asked, cursors = sent[len(answers)]
                    answers.append(asked.decode([_rows(cursor) for cursor in cursors]))
            pipeline.sync()
            for asked, cursors in sent[len(answers) :]:
                answers.append(asked.decode([_rows(cursor) for cursor in cursors]))
        return answers

    def _send(self, step: Step, operation: Operation[Any]) -> RawCursor[Any]:
        cursor = RawCursor(self._connection, row_factory=tuple_row)
        return cursor.execute(step.text, step.bind(operation.params))


class AsyncStatements:
    """Operations on an asyncio connection; in the caller's transaction, if there is one.

    One of its own begins with *settings*.
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
        """Runs the steps in one round trip, with their transaction around them if there is none."""
        # psycopg first ends the query, and we its transaction: the connection may break meanwhile.
        with cancellable():
            return await self._execute(operation)

    async def _execute(self, operation: Operation[T]) -> T:
        operation, statement = briefly(operation, self._statements)
        settings, connection = self._settings, self._connection
        if statement.atomic and not settings and not connection.pgconn.pipeline_status:
            step = statement.steps[0]
            name = known(connection, step)
            if name and (params := bound(step, operation.params)) is not None:
                async with connection.lock:
                    rows = await connection.wait(answered(connection, name, params))
                return operation.decode([rows])
            return operation.decode([await _rows_async(await self._send(step, operation))])
        own = is_idle(connection)
        if own and statement.unless and not settings:
            cursor = await self._send(statement.unless, operation)
            if answer := await _rows_async(cursor):
                return operation.decode([answer])
        try:
            async with connection.pipeline() as pipeline:
                if own:
                    await connection.execute(BEGIN)
                    if settings is not None:
                        [step] = self._statements[settings.name].steps
                        await self._send(step, settings)
                steps = [await self._send(step, operation) for step in statement.steps]
                then = [await self._send(step, operation) for step in statement.followed_by]
                if own and not statement.repeats:
                    await connection.execute("COMMIT")
                await _flush_async(connection)
                await pipeline.sync()
                said = steps if statement.repeats else [*steps, *then]
                answers = [await _rows_async(cursor) for cursor in said]
                while statement.repeats and says_again(
                    [await _rows_async(cursor) for cursor in then]
                ):
                    then = [await self._send(step, operation) for step in statement.followed_by]
                    await _flush_async(connection)
                    await pipeline.sync()
                if own and statement.repeats:
                    await connection.execute("COMMIT")
        except BaseException:
            if own and not connection.closed:
                await connection.rollback()
            raise
        return operation.decode(answers)

    async def together(self, operations: Iterable[Operation[T]]) -> list[T]:
        """Sends each while the server works on those before; in a transaction that is open."""
        connection = self._connection
        if connection.pgconn.pipeline_status:
            return [await self.execute(operation) for operation in operations]
        sent: list[tuple[Operation[T], list[AsyncRawCursor[Any]]]] = []
        answers: list[T] = []
        with cancellable():
            async with connection.pipeline() as pipeline:
                for operation in operations:
                    operation, statement = briefly(operation, self._statements)
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
    """Without its `description`, which describes each column to nobody."""
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0


def says_again(answers: Iterable[Rows]) -> bool:
    """Must what follows a file run once more?"""
    return any(row[0] is True for rows in answers for row in rows)


def is_idle(connection: Connection[Any] | AsyncConnection[Any]) -> bool:
    """Would each statement commit by itself? Outside autocommit psycopg opens the transaction."""
    return connection.autocommit and connection.pgconn.transaction_status == _IDLE


def _flush(connection: Connection[Any]) -> None:
    """Sends what was put into the pipeline, to its end.

    psycopg writes as much as the socket takes at once, and then waits for the answers: to what the
    server may never have been sent, when an argument is large. Both would wait for ever.
    """
    with connection.lock:
        connection.wait(flushed(connection.pgconn))


async def _flush_async(connection: AsyncConnection[Any]) -> None:
    """As `_flush`, without blocking the event loop."""
    async with connection.lock:
        await connection.wait(flushed(connection.pgconn))


def flushed(pgconn: PGconn) -> PQGen[None]:
    """Waits until everything is sent."""
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:  # a server that cannot get rid of its answers does not listen
            pgconn.consume_input()
