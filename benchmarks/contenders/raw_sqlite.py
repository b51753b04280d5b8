"""The least on SQLite: one table, a batch that is marked, a DELETE of what is done.

WAL and synchronous NORMAL. An idle worker looks at ``data_version`` every millisecond.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable

import msgspec

from benchmarks.contenders.agent import Agent, main, payload, seen

SCHEMA = """
CREATE TABLE job (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    priority INTEGER NOT NULL DEFAULT 0,
    state    TEXT    NOT NULL DEFAULT 'available',
    task     TEXT    NOT NULL,
    args     TEXT    NOT NULL
);
CREATE INDEX job_claim ON job (priority, id) WHERE state = 'available';
"""
INSERT = "INSERT INTO job (task, args, priority) VALUES ('noop', ?, ?)"
CLAIM = """
UPDATE job SET state = 'running'
WHERE id IN (SELECT id FROM job WHERE state = 'available' ORDER BY priority, id LIMIT 500)
RETURNING id, args
"""
PAUSE_SECONDS = 0.001


class Args(msgspec.Struct):
    sent: float
    seconds: float = 0.0


class Raw(Agent):
    connection: sqlite3.Connection

    def _connect(self) -> sqlite3.Connection:
        path = self.url.removeprefix("sqlite:///")
        connection = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    async def install(self) -> None:
        connection = self._connect()
        connection.executescript(SCHEMA)
        connection.close()

    async def open(self) -> None:
        self.connection = self._connect()

    async def close(self) -> None:
        self.connection.close()

    async def enqueue(self, sent: float) -> None:
        self.connection.execute(INSERT, (f'{{"sent": {sent}}}', 0))

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        job = json.dumps({"sent": sent, "seconds": seconds, "body": payload(size)})
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(INSERT, ((job, n % priorities) for n in range(count)))
        self.connection.execute("COMMIT")

    async def unfinished(self) -> bool:
        return self.connection.execute("SELECT 1 FROM job LIMIT 1").fetchone() is not None

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        await asyncio.to_thread(self._loop, ready, stop)

    def _loop(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        decode = msgspec.json.Decoder(Args).decode
        connection = self._connect()
        ready()
        version = -1
        while not stop.is_set():
            ((now,),) = connection.execute("PRAGMA data_version").fetchall()
            if now == version:
                time.sleep(PAUSE_SECONDS)
                continue
            while rows := self._claim(connection):
                arguments = [decode(args) for _, args in rows]
                for job in arguments:
                    seen(job.sent)
                if longest := max(job.seconds for job in arguments):
                    time.sleep(longest)
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("DELETE FROM job WHERE id = ?", [(id,) for id, _ in rows])
                connection.execute("COMMIT")
            version = now

    def _claim(self, connection: sqlite3.Connection) -> list[tuple[int, str]]:
        connection.execute("BEGIN IMMEDIATE")
        rows = connection.execute(CLAIM).fetchall()
        connection.execute("COMMIT")
        return rows


if __name__ == "__main__":
    main(Raw)
