"""idle: what workers ask of the store, and of the processor, when there is nothing to do."""

from __future__ import annotations

import time
from functools import partial

from benchmarks import cpu
from benchmarks.figures import Figures
from benchmarks.scenarios import Case
from benchmarks.stand import Stand
from benchmarks.stores import Connection, connect

SECONDS = 60
SETTLING_SECONDS = 5


def cases(size: int | None) -> list[Case]:
    seconds = size or SECONDS
    return [
        Case(
            f"{processes} worker{'s' if processes > 1 else ''}",
            partial(measure, seconds=seconds, processes=processes),
        )
        for processes in (1, 10, 100)
    ]


def measure(stand: Stand, *, seconds: int, processes: int) -> Figures:
    """A minute's worth, of all workers together."""
    stand.dismiss_client()
    counts = _Counts(stand.url)
    with stand.crew(processes) as crew:
        time.sleep(SETTLING_SECONDS + processes / 10)
        meter = cpu.Meter(crew.pids, stand.store.pids(stand.url))
        woken, before = cpu.wake_ups(crew.pids), counts.read()
        time.sleep(seconds)
        after, woken = counts.read(), cpu.wake_ups(crew.pids) - woken
        worker, server = meter.read()
    minutes = seconds / 60
    figures = {name: (after[name] - count) / minutes for name, count in before.items()}
    return figures | {
        "worker wake-ups/min": woken / minutes,
        "worker CPU ms/min": worker * 1e3 / minutes,
        "server CPU ms/min": server * 1e3 / minutes,
    }


class _Counts:
    """What the store has been asked so far; a file counts nothing."""

    def __init__(self, url: str) -> None:
        self._url = url
        if url.startswith("postgres"):
            with connect(url) as connection:
                connection.execute("CREATE EXTENSION pg_stat_statements")
                connection.execute(
                    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I"
                    " SET pg_stat_statements.track = ''top''', current_database()); END $$"
                )

    def read(self) -> Figures:
        if self._url.startswith("postgres"):
            with connect(self._url) as connection:
                connection.execute("SET pg_stat_statements.track = 'none'")
                return _postgres(connection)
        if self._url.startswith("redis"):
            import redis

            with redis.Redis.from_url(self._url) as client:
                info: dict[str, int] = client.info("stats")
                return {"commands/min": float(info["total_commands_processed"])}
        return {}


def _postgres(connection: Connection) -> Figures:
    found = connection.execute(
        "SELECT (SELECT coalesce(sum(calls), 0)::float8 FROM pg_stat_statements AS s"
        "        WHERE s.dbid = d.oid),"
        " pg_stat_get_db_xact_commit(d.oid)::float8"
        " FROM pg_database AS d WHERE datname = current_database()"
    ).fetchall()
    return dict(zip(("statements/min", "commits/min"), found[0], strict=True))
