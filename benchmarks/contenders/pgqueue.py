"""pgqueue itself, through what its users import."""

from __future__ import annotations

import sys

import psycopg

from benchmarks.contenders import Connection, Span
from benchmarks.contenders.pgqueue_tasks import noop
from pgqueue import enqueue
from pgqueue.statements import schema_files


class Pgqueue:
    """Its worker on one of the two event loops."""

    def __init__(self, name: str, loop: str) -> None:
        self.name = name
        self._loop = loop

    def install(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            for file in schema_files("postgres"):
                connection.execute(file.up.encode())

    def worker(self, url: str, *, concurrency: int) -> list[str]:
        module = "benchmarks.contenders.pgqueue_worker"
        return [sys.executable, "-m", module, url, self._loop, str(concurrency)]

    def enqueue(self, connection: Connection, sent: float) -> None:
        enqueue(connection, noop.job(sent))

    def fill(self, connection: Connection, count: int, priorities: int = 1) -> int:
        jobs = [noop.job(0.0) for _ in range(count)]
        if priorities > 1:
            jobs = [job.options(priority=n % priorities) for n, job in enumerate(jobs)]
        return enqueue(connection, jobs)[0].id - 1

    def span(self, connection: Connection, mark: int, count: int) -> Span | None:
        last = connection.execute(
            "SELECT FROM pgqueue.archive_completed WHERE id = %s", (mark + count,)
        )
        if not last.rowcount:
            return None
        found = connection.execute(
            "SELECT extract(epoch FROM min(claimed_at))::float8,"
            " extract(epoch FROM max(finished_at))::float8"
            " FROM pgqueue.archive_completed WHERE id BETWEEN %s AND %s HAVING count(*) = %s",
            (mark + 1, mark + count, count),
        ).fetchone()
        return found and Span(*found)
