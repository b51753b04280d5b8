"""A backend, to be read: pgqueue's own statements on a SQLite file, opened anew for each."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, nullcontext
from typing import Any

from pgqueue.backends.base import Backend, OperationRunner, Session, Subscription
from pgqueue.backends.sqlite.errors import translated
from pgqueue.backends.sqlite.running import SqliteRunner
from pgqueue.operations import Operation
from pgqueue.statements.files import head, in_schema, load, schema_files
from pgqueue.statements.sql import split


class ToyBackend(Backend):
    store = "toy"
    capabilities = frozenset({"transactions", "processes"})
    head = head("sqlite")

    def __init__(self, url: str, *, schema: str = "pgqueue") -> None:
        self.url, self._path, self._schema = url, url.removeprefix("toy://"), schema

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, 30, 0, None, False)) as connection:
                with self.on(connection):
                    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                        for file in schema_files("sqlite"):
                            for step in split(in_schema(file.up, self._schema)):
                                connection.execute(step.sql)
                yield connection
        except sqlite3.Error as error:
            raise translated(error) from error  # StoreBusy, StoreUnavailable …

    @contextmanager
    def on(self, connection: sqlite3.Connection, single: bool = False) -> Iterator[OperationRunner]:
        with nullcontext() if connection.in_transaction else connection:  # which commits
            if not connection.in_transaction:
                connection.execute("BEGIN IMMEDIATE")
            yield SqliteRunner(connection, load("sqlite", self._schema), present=list)

    @contextmanager
    def transaction(self) -> Iterator[OperationRunner]:
        with self.connect() as connection, self.on(connection) as executor:
            yield executor

    @contextmanager
    def user_connection(self) -> Iterator[sqlite3.Connection]:
        with self.connect() as connection, self.on(connection):
            yield connection

    def execute(self, operation: Operation[Any]) -> Any:
        with self.transaction() as executor:
            return executor.execute(operation)

    async def execute_async(self, operation: Operation[Any]) -> Any:
        return await asyncio.to_thread(self.execute, operation)

    def on_async(self, connection: sqlite3.Connection, *, single: bool = False) -> Any:
        return in_a_thread(self.on(connection), ToySession)

    def transaction_async(self) -> Any:
        return in_a_thread(self.transaction(), ToySession)

    def user_connection_async(self) -> Any:
        return in_a_thread(self.user_connection(), lambda connection: connection)

    def worker_connection(self, *, durable: bool = True) -> Session:
        return ToySession(self)

    def session(self, woken: Callable[[str], None], lost: Callable[[], None]) -> Session:
        return ToySession(self)

    def listen(self, topics: Collection[str]) -> Any:
        return nullcontext(ToySession(self))


class ToySession(Session, Subscription):
    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking  # the backend, or an executor

    async def execute(self, operation: Operation[Any]) -> Any:
        return await asyncio.to_thread(self._blocking.execute, operation)

    def transaction(self) -> Any:
        return in_a_thread(self._blocking.transaction(), ToySession)

    def wait(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.05))


@asynccontextmanager
async def in_a_thread(blocking: Any, made: Callable[[Any], Any]) -> AsyncIterator[Any]:
    with ExitStack() as stack:  # who waits for the file must not hold up the loop
        yield made(await asyncio.to_thread(stack.enter_context, blocking))
