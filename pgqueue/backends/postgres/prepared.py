"""Operations on a worker's own connection: prepared once, and sent in one write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count, islice
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.waiting import Ready, Wait

from pgqueue.backends.plans import cancellable
from pgqueue.backends.postgres.running import flushed
from pgqueue.backends.postgres.socket_waiter import SocketWaiter
from pgqueue.errors import PgqueueError
from pgqueue.operations import Operation, Rows
from pgqueue.statements.rounds import asked_in_turn, rounds
from pgqueue.statements.sql import Statement, Step, shortest

T = TypeVar("T")
U = TypeVar("U")
A = TypeVar("A")
_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR)


class PreparedRunner:
    """Carry out operations as `AsyncioRunner` does, at half the cost of psycopg's cursors.

    The connection must be ours alone, and in autocommit: nobody else may prepare anything there, or
    begin a transaction.
    """

    def __init__(
        self,
        connection: AsyncConnection[Any],
        wire: SocketWaiter,
        statements: Mapping[str, Statement],
    ) -> None:
        self._connection = connection
        self._wire = wire
        self._statements = statements
        self._names: dict[bytes, bytes] = {}
        self._numbers = count()
        self._adapted = Transformer(connection)
        self._encoding = connection.info.encoding

    async def execute(self, operation: Operation[T]) -> T:
        """Run the steps in one round trip, with a transaction around them if they are several."""
        operation, statement = shortest(operation, self._statements)
        try:
            return operation.decode(await self._answers(statement, operation))
        except InvalidSqlStatementName:
            # After a ROLLBACK psycopg sends DEALLOCATE ALL if it had prepared anything itself.
            # Nothing of this was carried out, so prepare all of it again.
            self._names.clear()
            return operation.decode(await self._answers(statement, operation))

    async def execute_both(self, first: Operation[T], second: Operation[U]) -> tuple[T, U]:
        """Run *first*, then *second*, in one round trip, each in a transaction of its own.

        Each must be a single round. The commit of *second* does not wait for the disk.
        """
        try:
            answers = await self._run(self._carry_out_both(first, second))
        except InvalidSqlStatementName:  # as above
            self._names.clear()
            answers = await self._run(self._carry_out_both(first, second))
        return first.decode(answers[0]), second.decode(answers[1])

    async def _answers(self, statement: Statement, operation: Operation[Any]) -> list[Rows]:
        return await self._run(self._carry_out(statement, operation))

    async def _run(self, asking: PQGen[A]) -> A:
        connection = self._connection
        # When cancelled, psycopg ends the query, and we end the transaction. If the connection
        # breaks meanwhile, its error would replace the cancellation.
        with cancellable():
            try:
                async with connection.lock:
                    return await self._wire.wait(asking)
            except BaseException:
                if connection.pgconn.transaction_status in _OPEN:
                    await connection.rollback()
                raise

    def _carry_out(self, statement: Statement, operation: Operation[Any]) -> PQGen[list[Rows]]:
        if statement.atomic:
            return (yield from self._ask(operation, statement.steps))
        asking = rounds(statement, own=True)
        return (yield from asked_in_turn(asking, partial(self._ask, operation)))

    def _carry_out_both(
        self, first: Operation[Any], second: Operation[Any]
    ) -> PQGen[list[list[Rows]]]:
        hurried = self._statements["session/hurried"].steps
        asking = [
            (first, rounds(self._statements[first.name], own=True)),
            (second, rounds(self._statements[second.name], own=True, settings=hurried)),
        ]
        steps = [(operation, next(asked)) for operation, asked in asking]
        answered = iter((yield from self._ask_all(steps)))
        answers = []
        for (_, asked), (_, sent) in zip(asking, steps, strict=True):
            try:
                asked.send(list(islice(answered, len(sent))))
            except StopIteration as end:
                answers.append(end.value)
            else:
                raise PgqueueError("what is sent together with others must be a single round")
        return answers

    def _ask(self, operation: Operation[Any], steps: Sequence[Step]) -> PQGen[list[Rows]]:
        """Return the answer to each of *steps*, which are one transaction unless one is open
        already."""
        return self._ask_all([(operation, steps)])

    def _ask_all(self, asked: Sequence[tuple[Operation[Any], Sequence[Step]]]) -> PQGen[list[Rows]]:
        pgconn = self._connection.pgconn
        steps = [step for _, each in asked for step in each]
        bound = [self._bind(step, operation) for operation, each in asked for step in each]
        pgconn.enter_pipeline_mode()
        try:
            new = [self._send(step, params) for step, params in zip(steps, bound, strict=True)]
            pgconn.pipeline_sync()
            yield from flushed(pgconn)
            results = yield from self._results()
        finally:
            if pgconn.transaction_status != TransactionStatus.UNKNOWN:
                pgconn.exit_pipeline_mode()
        answers: list[Rows] = []
        answered = iter(results)
        for step, name in zip(steps, new, strict=True):
            if name is not None:
                self._accept(next(answered))
                self._names[step.text] = name
            answers.append(self._accept(next(answered)))
        for extra in answered:  # an error at commit comes after the last answer
            self._accept(extra)
        self._adapted.set_pgresult(None)  # frees the result, which may be large
        return answers

    def _bind(self, step: Step, operation: Operation[Any]) -> Sequence[Buffer | None]:
        values = step.bind(operation.params)
        return self._adapted.dump_sequence(values, [PyFormat.TEXT] * len(values))

    def _send(self, step: Step, params: Sequence[Buffer | None]) -> bytes | None:
        """Send *step*; return the name by which it is being prepared, None if it was prepared
        already."""
        pgconn, new = self._connection.pgconn, None
        name = self._names.get(step.text)
        if name is None:
            name = new = b"pgqueue_%d" % next(self._numbers)
            pgconn.send_prepare(name, step.text)
        pgconn.send_query_prepared(name, params)
        return new

    def _results(self) -> PQGen[list[PGresult]]:
        """Return all results up to the end of the pipeline."""
        pgconn = self._connection.pgconn
        results: list[PGresult] = []
        ended = False
        while True:
            while pgconn.is_busy():
                if (yield Wait.R) & Ready.R:
                    pgconn.consume_input()
            while notify := pgconn.notifies():
                if pgconn.notify_handler:
                    pgconn.notify_handler(notify)
            result = pgconn.get_result()
            if result is None:
                if ended:
                    raise psycopg.OperationalError("the connection broke under a statement")
                ended = True
                continue
            ended = False
            if result.status == ExecStatus.PIPELINE_SYNC:
                return results
            results.append(result)

    def _accept(self, result: PGresult) -> Rows:
        if result.status == ExecStatus.TUPLES_OK:
            self._adapted.set_pgresult(result)
            return self._adapted.load_rows(0, result.ntuples, tuple)
        if result.status == ExecStatus.COMMAND_OK:
            return []
        raise error_from_result(result, encoding=self._encoding)
