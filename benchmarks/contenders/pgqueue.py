"""pgqueue itself, through what its users import."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from benchmarks.contenders import Connection, Contender, Span
from benchmarks.contenders.pgqueue_tasks import noop, rest
from pgqueue import NewJob, enqueue
from pgqueue.statements import schema_files


class Pgqueue(Contender):
    """Its worker on one of the two event loops."""

    def __init__(self, name: str, loop: str) -> None:
        super().__init__(name)
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

    def occupy(self, connection: Connection, slots: int, seconds: float) -> None:
        enqueue(connection, [rest.job(seconds) for _ in range(slots)])

    def schedule(self, connection: Connection, due: Sequence[float]) -> None:
        enqueue(
            connection,
            [noop.job(at).options(run_at=datetime.fromtimestamp(at, UTC)) for at in due],
        )

    def done(self, connection: Connection, reports: Sequence[Mapping[str, Any]]) -> list[float]:
        found = connection.execute(
            "SELECT extract(epoch FROM finished_at)::float8 - (args ->> 'sent')::float8"
            " FROM pgqueue.archive_completed WHERE task = 'noop'"
        )
        return [seconds for (seconds,) in found]

    def graph(self, connection: Connection, parents: Sequence[Sequence[int]]) -> int:
        jobs: list[NewJob[None]] = []
        for before in parents:
            jobs.append(noop.job(0.0).after(*(jobs[parent] for parent in before)))
        return enqueue(connection, jobs)[0].id - 1

    def hops(self, connection: Connection, mark: int) -> list[float]:
        found = connection.execute(
            "SELECT extract(epoch FROM c.claimed_at - max(p.finished_at))::float8"
            " FROM pgqueue.dependency AS d"
            " JOIN pgqueue.archive_completed AS c ON c.id = d.child_id"
            " JOIN pgqueue.archive_completed AS p ON p.id = d.parent_id"
            " WHERE d.child_id > %s GROUP BY c.id, c.claimed_at",
            (mark,),
        )
        return [seconds for (seconds,) in found]
