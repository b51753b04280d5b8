"""idle: what workers ask of the database, and of the processor, when there is nothing to do."""

from __future__ import annotations

import time
from functools import partial

from benchmarks import cpu
from benchmarks.contenders import Connection, Contender
from benchmarks.figures import Figures
from benchmarks.scenarios import Case
from benchmarks.site import connect, workers

SECONDS = 60
SETTLING_SECONDS = 5


def cases(size: int | None) -> list[Case]:
    seconds = size or SECONDS
    return [
        Case("one worker", partial(measure, seconds=seconds, processes=1)),
        Case("two workers", partial(measure, seconds=seconds, processes=2)),
    ]


def measure(contender: Contender, url: str, *, seconds: int, processes: int) -> Figures:
    """A minute's worth, of all workers together."""
    with connect(url) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET pg_stat_statements.track = ''top''',"
            " current_database()); END $$"
        )
        with workers(contender, url, processes) as crew:
            time.sleep(SETTLING_SECONDS)
            meter = cpu.Meter(crew.pids, cpu.backends(connection))
            before = _counts(connection)
            time.sleep(seconds)
            after = _counts(connection)
            worker, server = meter.read()
    minutes = seconds / 60
    figures = {
        name: (after[name] - before[name]) / minutes for name in ("statements/min", "commits/min")
    }
    return figures | {
        "worker CPU ms/min": worker * 1e3 / minutes,
        "server CPU ms/min": server * 1e3 / minutes,
    }


def _counts(connection: Connection) -> dict[str, float]:
    """So far; our own statements are not counted, our own transactions are too few to matter."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    found = connection.execute(
        "SELECT (SELECT coalesce(sum(calls), 0)::float8 FROM pg_stat_statements AS s"
        "        WHERE s.dbid = d.oid),"
        " pg_stat_get_db_xact_commit(d.oid)::float8"
        " FROM pg_database AS d WHERE datname = current_database()"
    ).fetchall()
    return dict(zip(("statements/min", "commits/min"), found[0], strict=True))
