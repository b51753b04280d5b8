"""The least: one table, an INSERT, a claim with SKIP LOCKED, a DELETE. No lease, no history.

A worker claims and deletes batches of 500 on one connection, then LISTENs for more. With the option
*notify* it is woken inside the transaction that inserts.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from benchmarks.contenders.agent import Agent, main, payload, seen
from benchmarks.contenders.through import Kind, Through

SCHEMA = """
CREATE TABLE job (
    id       bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run_at   timestamptz NOT NULL DEFAULT now(),
    priority smallint    NOT NULL DEFAULT 0,
    attempt  smallint    NOT NULL DEFAULT 0,
    queue    text        NOT NULL DEFAULT 'default',
    state    text        NOT NULL DEFAULT 'available',
    task     text        NOT NULL,
    args     jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX job_claim ON job (queue, priority, id) WHERE state = 'available';
CREATE TABLE archive (LIKE job INCLUDING DEFAULTS);
CREATE TABLE span (jobs integer NOT NULL, ended float8 NOT NULL, done float8[] NOT NULL);
"""
INSERT = "INSERT INTO job (task, args) VALUES (%s, %s::jsonb)"
RETURNING = INSERT + " RETURNING id"
SESSION_RETURNING = text(
    "INSERT INTO job (task, args) VALUES (:task, CAST(:args AS jsonb)) RETURNING id"
)
INSERT_MANY = """
    INSERT INTO job (priority, task, args)
    SELECT priority, task, args
    FROM jsonb_to_recordset(%s::jsonb) AS g(priority smallint, task text, args jsonb)
"""
CLAIM = """
    UPDATE job SET state = 'running', attempt = attempt + 1
    WHERE id = ANY (ARRAY(
        SELECT id FROM job
        WHERE queue = 'default' AND state = 'available'
        ORDER BY priority, id LIMIT %s
        FOR UPDATE SKIP LOCKED))
    RETURNING id, task, args::text
"""
DELETE = "DELETE FROM job WHERE id = ANY (%s)"
STOCK = """
    INSERT INTO {table} (id, run_at, state, task, args) OVERRIDING SYSTEM VALUE
    SELECT nextval('job_id_seq'), now() + interval '1 day', '{state}', 'noop', '{{"sent": 0}}'
    FROM generate_series(1, {count})
"""
BATCH = 500


class Args(msgspec.Struct):
    sent: float
    seconds: float = 0.0


def write(connection: psycopg.Connection[Any], args: str) -> None:
    connection.execute(RETURNING, ("noop", args)).fetchone()


async def write_async(connection: psycopg.AsyncConnection[Any], args: str) -> None:
    await (await connection.execute(RETURNING, ("noop", args))).fetchone()


def write_session(session: Session, args: str) -> None:
    session.execute(SESSION_RETURNING, {"task": "noop", "args": args}).scalar_one()


async def write_async_session(session: AsyncSession, args: str) -> None:
    (await session.execute(SESSION_RETURNING, {"task": "noop", "args": args})).scalar_one()


WRITES: dict[Kind, Callable[[Any, str], Any]] = {
    "psycopg, autocommit": write,
    "psycopg, a block": write,
    "asyncio psycopg, autocommit": write_async,
    "asyncio psycopg, a block": write_async,
    "SQLAlchemy Session": write_session,
    "SQLAlchemy AsyncSession": write_async_session,
}


class Raw(Agent):
    """A bare loop over bare statements."""

    connection: psycopg.Connection[Any]

    async def install(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(SCHEMA)

    async def open(self) -> None:
        self.connection = psycopg.connect(self.url, autocommit=True)
        self._filled = 0
        if "through" in self.options:
            self._through = Through(self.options["through"], self.url)
            self._write = WRITES[self.options["through"]]
            await self._through.open()

    async def close(self) -> None:
        self.connection.close()
        if "through" in self.options:
            await self._through.close()

    async def enqueue(self, sent: float) -> None:
        if "through" in self.options:
            args = f'{{"sent": {sent}}}'
            await self._through.write(lambda connection: self._write(connection, args))
            return
        with self.connection.transaction():
            self.connection.execute(INSERT, ("noop", f'{{"sent": {sent}}}'))
            if self.options.get("notify"):
                self.connection.execute("NOTIFY job")

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        rest = f',"seconds":{seconds}' if seconds else ""
        body = f',"body":"{payload(size)}"' if size else ""
        with self.connection.transaction():
            for start in range(0, count, 1_000):
                rows = ",".join(
                    f'{{"priority":{n % priorities},"task":"noop",'
                    f'"args":{{"sent":{sent}{rest}{body}}}}}'
                    for n in range(start, min(count, start + 1_000))
                )
                self.connection.execute(INSERT_MANY, (f"[{rows}]",))
            self.connection.execute("NOTIFY job")
        self._filled += count

    async def unfinished(self) -> bool:
        ((there,),) = self.connection.execute("SELECT EXISTS (SELECT FROM job)").fetchall()
        return bool(there)

    async def ended(self) -> float | None:
        """A worker notes it when it has run dry."""
        while True:
            found = self.connection.execute("SELECT sum(jobs), max(ended) FROM span").fetchall()
            jobs, ended = found[0]
            if (jobs or 0) >= self._filled:
                return float(ended)
            await asyncio.sleep(0.002)

    async def done(self) -> list[float]:
        found = self.connection.execute("SELECT unnest(done) FROM span").fetchall()
        return [spent for (spent,) in found if spent < 1e9]

    async def stock(self, waiting: int, scheduled: int, finished: int) -> None:
        for table, state, count in (
            ("job", "available", waiting),
            ("job", "scheduled", scheduled),
            ("archive", "completed", finished),
        ):
            self.connection.execute(STOCK.format(table=table, state=state, count=count).encode())
        self.connection.execute("VACUUM (ANALYZE) job")

    async def cycle(self, count: int) -> float:
        began = time.monotonic()
        for _ in range(count):
            rows = self.connection.execute(CLAIM, (1,)).fetchall()
            self.connection.execute(DELETE, ([id for id, _, _ in rows],))
        return time.monotonic() - began

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        await asyncio.to_thread(self._loop, ready, stop)

    def _loop(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        decode = msgspec.json.Decoder(Args).decode
        jobs, ended = 0, 0.0
        done = array("d")
        with psycopg.connect(self.url, autocommit=True, prepare_threshold=0) as connection:
            connection.execute("LISTEN job")
            connection.execute(CLAIM, (0,))
            connection.execute(DELETE, ([],))
            ready()
            while not stop.is_set():
                rows = connection.execute(CLAIM, (BATCH,)).fetchall()
                if rows:
                    arguments = [decode(args) for _, _, args in rows]
                    for job in arguments:
                        seen(job.sent)
                    if longest := max(job.seconds for job in arguments):
                        time.sleep(longest)
                    connection.execute(DELETE, ([id for id, _, _ in rows],))
                    ended, jobs = time.time(), jobs + len(rows)
                    if seen.keeps:
                        done.extend(ended - job.sent for job in arguments)
                    continue
                if jobs:
                    note = "INSERT INTO span VALUES (%s, %s, %s)"
                    connection.execute(note, (jobs, ended, done.tolist()))
                    jobs, done = 0, array("d")
                for _ in connection.notifies(timeout=0.5, stop_after=1):
                    pass


if __name__ == "__main__":
    main(Raw)
