"""A worker's connection as asyncio sees it: a socket that is watched all the time."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.waiting import Ready, Wait

T = TypeVar("T")


class Wire:
    """Waits for answers, and hears NOTIFY at once while nobody waits for one.

    To begin and end watching with each statement, as psycopg does, is half of what a round trip
    costs us. The socket is watched through a duplicate of its descriptor: asyncio keeps one
    callback a descriptor, and psycopg needs that of the original in a transaction, and to connect.
    *lost* is called when the connection breaks while it is idle.
    """

    def __init__(self, connection: AsyncConnection[Any], lost: Callable[[], None]) -> None:
        self._connection = connection
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._ear: int | None = os.dup(connection.fileno())
        self._end = select.poll()
        self._end.register(self._ear, 0)  # of an error or an end one is always told
        self._loop.add_reader(self._ear, self._readable)

    @property
    def watches(self) -> bool:
        return self._ear is not None

    def close(self) -> None:
        """Watches no more."""
        if self._ear is not None:
            self._loop.remove_reader(self._ear)
            os.close(self._ear)
            self._ear = None

    async def wait(self, work: PQGen[T]) -> T:
        """What *work* answers, which waits for the server whenever it yields.

        An interruption ends the statement first; that, and what the socket does not take at once,
        is psycopg's.
        """
        try:
            wanted = next(work)
            while wanted == Wait.R and self._ear is not None:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                except BaseException as interruption:
                    return await self._connection.wait(_Rest(work, wanted, interruption))
                finally:
                    self._waiter = None
                wanted = work.send(Ready.R)
        except StopIteration as end:
            answer: T = end.value
            return answer
        return await self._connection.wait(_Rest(work, wanted))

    def _readable(self) -> None:
        if self._end.poll(0):
            # Of a socket's error libuv tells once, and watches no more; but first comes what the
            # server said before, and then there is the end to be read.
            self._loop.call_soon(self._watch_again)
        connection, waiter = self._connection, self._waiter
        if waiter is not None:
            if not waiter.done():
                waiter.set_result(None)
            return
        if connection.closed:
            self._break()
            return
        pgconn = connection.pgconn
        if connection.lock.locked() or pgconn.transaction_status == TransactionStatus.ACTIVE:
            return  # psycopg reads
        try:
            pgconn.consume_input()
            while notify := pgconn.notifies():
                if pgconn.notify_handler:
                    pgconn.notify_handler(notify)
        except psycopg.OperationalError:
            self._break()

    def _watch_again(self) -> None:
        if self._ear is not None:
            self._loop.remove_reader(self._ear)
            self._loop.add_reader(self._ear, self._readable)

    def _break(self) -> None:
        self.close()
        self._lost()


class _Rest(Generator[Wait, Ready | int, T]):
    """What is left of *work*, for psycopg to go on with; after *interruption*, if there was one."""

    def __init__(
        self, work: PQGen[T], wanted: Wait, interruption: BaseException | None = None
    ) -> None:
        self._work = work
        self._wanted = wanted
        self._interruption = interruption

    def __next__(self) -> Wait:
        interruption, self._interruption = self._interruption, None
        if interruption is not None:
            raise interruption
        return self._wanted

    def send(self, ready: Ready | int) -> Wait:
        return self._work.send(ready)

    def throw(self, *error: Any) -> Wait:
        return self._work.throw(*error)
