"""What the dashboard's pages read of a large store: ``python -m tests.dashboard.ten_million``.

Fills a PostgreSQL of its own with as many waiting jobs as it is told, ten million if nothing, and
as many finished ones, then carries out each page's operations and has the server say how many
blocks each statement read. Exits with 1 if one read more than 2,000. A million are there in half a
minute, ten million, which take 15 GB, in four.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import psycopg
from psycopg import AsyncConnection

from pgqueue import embedded, migrations
from pgqueue.backends.base import AsyncOperationRunner
from pgqueue.backends.plans import carry_out, carry_out_async
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.dashboard import Access, pages
from pgqueue.dashboard.forms import Form
from pgqueue.jobs.retention import Retention
from pgqueue.operations import Operation, tidy
from tests.conftest import SETTINGS
from tests.postgres.plans import Plans

MOST_BLOCKS: Final = 2_000
FILL: Final = """
INSERT INTO pgqueue.job (state, task, priority, queue, key, args)
SELECT 'available', 'send_' || n % 7, n % 4, CASE WHEN n % 10 = 0 THEN 'mail' ELSE 'default' END,
       CASE WHEN n % 10 = 0 THEN 'tenant-' || n % 1000 ELSE '' END, jsonb_build_object('order', n)
FROM generate_series(1, {n}) AS n;

INSERT INTO pgqueue.job (state, task, queue, run_at, errors)
SELECT CASE WHEN n % 2 = 0 THEN 'scheduled' ELSE 'retryable' END, 'later', 'default',
       now() + (n::bigint * 7919 % {n} - 1000) * interval '1 second',
       CASE WHEN n % 2 = 1 AND n::bigint * 7919 % {n} < 8000 THEN {long} ELSE '[]' END
FROM generate_series(1, {n} / 5) AS n;

INSERT INTO pgqueue.job (state, task, blocked_by)
SELECT 'blocked', 'child', 1 FROM generate_series(1, {n} / 10);

INSERT INTO pgqueue.job (state, task, attempt, lease, worker, claimed_at)
SELECT 'running', 'parent', 1, n, 1, now() FROM generate_series(1, 500) AS n;

INSERT INTO pgqueue.archive (id, lease, run_at, enqueued_at, claimed_at, finished_at, priority,
                             attempt, max_attempts, rescues, state, queue, task, args, errors)
SELECT nextval('pgqueue.job_id'), n, at - interval '3 s', at - interval '3 s', at - interval '1 s',
       at, 0, 1, 10, 0,
       CASE WHEN n % 20 = 0 THEN 'discarded' WHEN n % 20 = 1 THEN 'cancelled' ELSE 'completed' END,
       'default', 'send_' || n % 7,
       CASE WHEN n % 20 = 1 AND n > {n} - 30000 THEN {long} -> 0 ELSE '{{"order": 1}}' END,
       CASE WHEN n % 20 = 0 AND n > {n} - 30000 THEN {long} ELSE
       '[{{"at": "2026-01-01T00:00:00Z", "attempt": 1, "type": "ValueError", "message": "no",
        "traceback": "File \\"a.py\\", line 3, in f"}}]' END
FROM generate_series(1, {n}) AS n,
     LATERAL (SELECT now() - ({n} - n) * interval '2 milliseconds') AS finished(at);

INSERT INTO pgqueue.tally (at, seconds, worker, queue, task, figures)
SELECT date_trunc('minute', now()) - m * interval '1 minute', 60, w, 'default', 'send_' || t,
       jsonb_build_object('outcomes', '{{"completed": 40}}'::jsonb,
                          'waited', '{{"counts": {{"-9": 20, "-8": 20}}, "seconds": 2}}'::jsonb,
                          'ran', '{{"counts": {{"-3": 20, "-2": 20}}, "seconds": 20}}'::jsonb)
FROM generate_series(1, 2880) AS m, generate_series(0, CASE WHEN m < 15 THEN 4 ELSE 0 END) AS w,
     generate_series(1, least({n} / 1000, 30)) AS t
ORDER BY 2, 1, 3, 4, 5;

INSERT INTO pgqueue.tally (at, seconds, worker, queue, task, figures)
SELECT date_trunc('hour', now()) - h * interval '1 hour', 3600, 0, 'default', 'send_' || t,
       '{{"outcomes": {{"completed": 2400}}, "waited": {{"counts": {{"-9": 2400}}, "seconds": 9}},
        "ran": {{"counts": {{"-3": 2400}}, "seconds": 9}}}}'
FROM generate_series(1, 2160) AS h, generate_series(1, least({n} / 1000, 30)) AS t
ORDER BY 2, 1, 3, 4, 5;
"""
LONG: Final = """jsonb_build_array(jsonb_build_object(
    'type', 'OSError', 'message', 'away', 'traceback',
    (SELECT string_agg(md5(format('%s %s', n, i)), '') FROM generate_series(1, 250) AS i)))"""
"""The newest errors: a traceback as long as it can be, which a store cannot make any shorter; and
arguments as large."""
VIEWS: Final[dict[str, tuple[Callable[..., pages.View], str, dict[str, Any]]]] = {
    "overview": (partial(pages.overview, schema="pgqueue", head="0"), "", {}),
    "overview, 30 days": (partial(pages.overview, schema="pgqueue", head="0"), "period=month", {}),
    "queue": (pages.queue, "", {"name": "mail"}),
    "task": (pages.task, "", {"name": "send_3"}),
    "task, rare": (pages.task, "", {"name": "nobody"}),
    "jobs": (pages.jobs, "", {}),
    "jobs by queue and state": (pages.jobs, "queue=mail&state=available", {}),
    "jobs, rare task": (pages.jobs, "task=nobody", {}),
    "jobs, rare task, available": (pages.jobs, "task=nobody&state=available", {}),
    "jobs, rare task, due": (pages.jobs, "task=nobody&state=retryable", {}),
    "jobs, rare task, discarded": (pages.jobs, "task=nobody&state=discarded", {}),
    "jobs, rare error": (pages.jobs, "error=KeyError&state=discarded", {}),
    "jobs, rare error, any state": (pages.jobs, "error=KeyError", {}),
    "jobs, arguments": (pages.jobs, "args=order%3D-1", {}),
    "jobs, large arguments": (pages.jobs, "args=order%3D-1&state=cancelled", {}),
    "jobs, rare tag, completed": (pages.jobs, "tag=x&state=completed", {}),
    "jobs, running": (pages.jobs, "state=running", {}),
    "job": (pages.job, "", {"id": 50}),
    "failures": (pages.failures, "", {}),
    "workers": (pages.workers, "", {}),
    "workflows": (pages.workflows, "", {}),
    "bridges": (pages.bridges, "", {}),
    "limits": (pages.limits, "", {}),
    "schedules": (pages.list_schedules, "", {}),
    "audit": (pages.audit, "", {}),
}


class Read(NamedTuple):
    """What one statement of a page has read."""

    page: str
    statement: str
    blocks: int
    seconds: float

    @property
    def is_bad(self) -> bool:
        """Whether these are more blocks than it may read."""
        return self.blocks > MOST_BLOCKS


def filled(url: str, n: int) -> PostgresBackend:
    """A store with *n* jobs that wait, *n* that have finished, and what there is beside them."""
    migrations.migrate(url)
    backend = PostgresBackend(url)
    carry_out(tidy(Retention()), backend.execute)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FILL.format(n=n, long=LONG).encode())
        connection.execute("VACUUM ANALYZE")
    return backend


def measured(backend: PostgresBackend) -> list[Read]:
    """Carry out every page's operations, each for itself, and say what they read."""
    return asyncio.run(_measured(backend))


async def _measured(backend: PostgresBackend) -> list[Read]:
    found = []
    for page, (view, query, arguments) in VIEWS.items():
        form = Form(parse_qsl(query))
        connection = await AsyncConnection.connect(backend.url, prepare_threshold=None)
        async with connection, backend.on_async(connection) as executor:
            plans = await Plans.watch(connection)

            execute = partial(_noting, found, plans, page, connection, executor)
            await carry_out_async(view(Access("ann"), form, **arguments), execute)
    return found


async def _noting(
    found: list[Read],
    plans: Plans,
    page: str,
    connection: AsyncConnection[Any],
    executor: AsyncOperationRunner,
    operation: Operation[Any],
) -> Any:
    before, began = plans.pages(), time.perf_counter()
    answer = await executor.execute(operation)
    seconds = time.perf_counter() - began
    await connection.execute("SELECT")  # a plan is told when its statement has been closed
    found.append(Read(page, operation.name, plans.pages() - before, seconds))
    return answer


def _open(folder: str) -> Path:
    """Let the server's own user in."""
    Path(folder).chmod(0o755)
    return Path(folder)


def main() -> int:
    """Fill, read, print; the exit code says whether all statements kept to the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("waiting", type=int, nargs="?", default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where the server's files lie for the time")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        embedded.start(_open(folder), ephemeral=True, options=SETTINGS) as server,
    ):
        began = time.perf_counter()
        backend = filled(server.url, options.waiting)
        print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
        reads = measured(backend)
        backend.close()
    for read in reads:
        mark = "  more than it may" if read.is_bad else ""
        taken = f"{read.blocks:6} {read.seconds * 1000:7.1f} ms{mark}"
        print(f"{read.page:28} {read.statement:12} {taken}")
    return int(any(read.is_bad for read in reads))


if __name__ == "__main__":
    raise SystemExit(main())
