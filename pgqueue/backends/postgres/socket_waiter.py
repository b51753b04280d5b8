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

from pgqueue.backends.forks import abandon, on_fork

T = TypeVar("T")


class SocketWaiter:
    """Wait for answers, and pass NOTIFY on at once while nobody waits for one.

    The socket stays registered with the event loop: to register it for each statement, as psycopg
    does, is half of what a round trip costs us. A duplicate of its descriptor is registered:
    asyncio keeps one callback a descriptor, and psycopg needs the original's in a transaction, and
    to connect. *lost* is called when the connection breaks while it is idle.
    """

    def __init__(self, connection: AsyncConnection[Any], lost: Callable[[], None]) -> None:
        self._connection = connection
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._socket: int | None = os.dup(connection.fileno())
        self._end = select.poll()
        self._end.register(self._socket, 0)  # an error or a hang-up is always reported
        self._loop.add_reader(self._socket, self._readable)
        on_fork(self, SocketWaiter._abandon)

    def _abandon(self) -> None:
        if self._socket is not None:
            abandon(self._socket)

    @property
    def watches(self) -> bool:
        return self._socket is not None

    def close(self) -> None:
        """Stop watching; the connection stays open."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            os.close(self._socket)
            self._socket = None

    async def wait(self, work: PQGen[T]) -> T:
        """Run *work*, which waits for the server whenever it yields, and return its answer.

        psycopg runs the rest where it must: it cancels the statement when we are interrupted, and
        waits until the socket takes more when it did not take all at once.
        """
        try:
            wanted = next(work)
            while wanted == Wait.R and self._socket is not None:
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
            # libuv reports a socket's error once, and then stops watching. What the server sent
            # before it is still to be read, and then the end: so register it again.
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
            return  # psycopg itself waits for this, on the original descriptor
        try:
            pgconn.consume_input()
            while notify := pgconn.notifies():
                if pgconn.notify_handler:
                    pgconn.notify_handler(notify)
        except psycopg.OperationalError:
            self._break()

    def _watch_again(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.add_reader(self._socket, self._readable)

    def _break(self) -> None:
        self.close()
        self._lost()


class _Rest(Generator[Wait, Ready | int, T]):
    """The rest of *work*, for psycopg to run; it raises *interruption* first, if there was one."""

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
