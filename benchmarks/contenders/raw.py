"""The least: one table, an INSERT, a claim with SKIP LOCKED, a DELETE. No lease, no history."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from benchmarks.contenders import Connection, Contender, Span

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
CREATE TABLE span (jobs integer NOT NULL, began float8 NOT NULL, ended float8 NOT NULL);
"""
INSERT = "INSERT INTO job (task, args) VALUES (%s, %s::jsonb)"
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


class Raw(Contender):
    """A bare loop over bare statements; *notify*: wake the worker inside the transaction."""

    def __init__(self, name: str, *, notify: bool = False) -> None:
        super().__init__(name)
        self._notify = notify

    def install(self, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SCHEMA)

    def worker(self, url: str, *, concurrency: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.contenders.raw_worker", url]

    def enqueue(self, connection: Connection, sent: float) -> None:
        connection.execute(INSERT, ("noop", f'{{"sent": {sent}}}'))
        if self._notify:
            connection.execute("NOTIFY job")

    def fill(self, connection: Connection, count: int, priorities: int = 1) -> int:
        with connection.transaction():
            ((mark,),) = connection.execute("SELECT coalesce(sum(jobs), 0) FROM span").fetchall()
            for start in range(0, count, 1_000):
                rows = ",".join(
                    f'{{"priority":{n % priorities},"task":"noop","args":{{"sent":0}}}}'
                    for n in range(start, min(count, start + 1_000))
                )
                connection.execute(INSERT_MANY, (f"[{rows}]",))
            connection.execute("NOTIFY job")
        return int(mark)

    def span(self, connection: Connection, mark: int, count: int) -> Span | None:
        found = connection.execute(
            "SELECT min(began), max(ended) FROM"
            " (SELECT *, sum(jobs) OVER (ORDER BY ended) AS total FROM span) AS s"
            " WHERE total > %s HAVING max(total) >= %s",
            (mark, mark + count),
        ).fetchone()
        return found and Span(*found)

    def occupy(self, connection: Connection, slots: int, seconds: float) -> None:
        """An INSERT is an INSERT, whatever workers do."""

    def done(self, connection: Connection, reports: Sequence[Mapping[str, Any]]) -> list[float]:
        return [seconds for report in reports for seconds in report["done"]]
