"""The kinds of connection an application has: each writes a job in a transaction, and commits."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Literal, TypeAlias

import psycopg

Kind: TypeAlias = Literal[
    "psycopg, autocommit",
    "psycopg, a block",
    "asyncio psycopg, autocommit",
    "asyncio psycopg, a block",
    "SQLAlchemy Session",
    "SQLAlchemy AsyncSession",
]
#: Writes through a connection of its kind; with an asyncio connection it returns an awaitable.
Write: TypeAlias = Callable[[Any], Any]


class Through:
    """An open connection, or an engine, of that kind."""

    def __init__(self, kind: Kind, url: str) -> None:
        self.kind = kind
        self._url = url
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Connects; an engine connects when it is first used."""
        if self.kind.startswith("SQLAlchemy"):
            self._open_engine()
        elif self.kind.startswith("asyncio"):
            connecting = psycopg.AsyncConnection.connect(self._url, autocommit=True)
            self._connection: Any = await self._stack.enter_async_context(await connecting)
        else:
            connected = psycopg.connect(self._url, autocommit=True)
            self._connection = self._stack.enter_context(connected)

    def _open_engine(self) -> None:
        url = "postgresql+psycopg" + self._url[self._url.index("://") :]
        if self.kind == "SQLAlchemy Session":
            import sqlalchemy
            from sqlalchemy.orm import Session

            engine = sqlalchemy.create_engine(url)
            self._stack.callback(engine.dispose)
            self._session: Any = lambda: Session(engine)
        else:
            from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

            asynchronous = create_async_engine(url)
            self._stack.push_async_callback(asynchronous.dispose)
            self._session = lambda: AsyncSession(asynchronous)

    async def close(self) -> None:
        """Disconnects."""
        await self._stack.aclose()

    async def write(self, write: Write) -> None:
        """Calls it with the connection, in a transaction that commits before this returns."""
        match self.kind:
            case "psycopg, autocommit" | "asyncio psycopg, autocommit":
                await _awaited(write(self._connection))
            case "psycopg, a block":
                with self._connection.transaction():
                    write(self._connection)
            case "asyncio psycopg, a block":
                async with self._connection.transaction():
                    await write(self._connection)
            case "SQLAlchemy Session":
                with self._session() as session, session.begin():
                    write(session)
            case "SQLAlchemy AsyncSession":
                async with self._session() as session, session.begin():
                    await write(session)


async def _awaited(answer: Any) -> None:
    if inspect.isawaitable(answer):
        await answer
