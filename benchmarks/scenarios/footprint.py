"""footprint: what a job leaves behind: WAL, commits, fsyncs, dead rows, indexes; worker memory."""

from __future__ import annotations

from functools import partial

from benchmarks import cpu
from benchmarks.figures import Figures
from benchmarks.scenarios import Case
from benchmarks.stand import Stand
from benchmarks.stores import Connection, connect

JOBS = 50_000
SINGLES_SECONDS = 2.0
MEMORY_JOBS = 1_000_000
ROUNDS = 10
MEGABYTE = 1e6


def cases(size: int | None) -> list[Case]:
    jobs = size or JOBS
    postgres = ("postgres",)
    return [
        Case("enqueued one by one", measure_singles, backends=postgres),
        Case("enqueued at once", partial(measure_bulk, jobs=jobs), backends=postgres),
        Case("drained", partial(measure_drain, jobs=jobs), backends=postgres),
        Case("a worker's memory", partial(measure_memory, jobs=size or MEMORY_JOBS)),
    ]


def measure_singles(stand: Stand) -> Figures:
    before = _counts(stand.url)
    jobs = len(stand.crowd(1, SINGLES_SECONDS))
    return _per_job(before, _counts(stand.url), jobs)


def measure_bulk(stand: Stand, *, jobs: int) -> Figures:
    jobs = stand.jobs(jobs)
    before = _counts(stand.url)
    stand.ask("fill", count=jobs)
    stand.dismiss_client()
    return _per_job(before, _counts(stand.url), jobs)


def measure_drain(stand: Stand, *, jobs: int) -> Figures:
    """With what the last maintenance left: indexes and tables at their size just afterwards."""
    jobs = stand.jobs(jobs)
    stand.ask("fill", count=jobs)
    before = _counts(stand.url)
    with stand.crew(keep=False) as crew:
        with connect(stand.url) as connection:
            connections = _one(
                connection,
                "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend') - 2",
            )
        stand.await_done(crew, jobs)
    stand.dismiss_client()
    figures = _per_job(before, _counts(stand.url), jobs)
    with connect(stand.url) as connection:
        for name, measured in (("index", "pg_indexes_size"), ("table", "pg_table_size")):
            size = _one(connection, f"(SELECT sum({measured}(relid)) FROM pg_stat_user_tables)")
            figures[f"{name} bytes/job"] = size / jobs
    return figures | {"connections": connections}


def measure_memory(stand: Stand, *, jobs: int) -> Figures:
    size = stand.jobs(jobs) // ROUNDS
    sizes = []
    with stand.crew(keep=False) as crew:
        for number in range(1, ROUNDS + 1):
            stand.ask("fill", count=size)
            stand.await_done(crew, number * size)
            sizes.append(cpu.memory(crew.pids) / MEGABYTE)
    return {
        "jobs": float(size * ROUNDS),
        "MB after the first tenth": sizes[0],
        "MB at the end": sizes[-1],
        "MB grown": sizes[-1] - sizes[0],
    }


def _counts(url: str) -> Figures:
    """So far, in this database; asked after others have disconnected and so reported counts."""
    with connect(url) as connection:
        figures = {
            "WAL bytes/job": _one(connection, "pg_current_wal_insert_lsn() - '0/0'"),
            "WAL records/job": _one(connection, "(SELECT wal_records FROM pg_stat_wal)"),
            "page images/job": _one(connection, "(SELECT wal_fpi FROM pg_stat_wal)"),
            "commits/job": _one(
                connection,
                "(SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())",
            ),
            "dead rows/job": _one(
                connection,
                "(SELECT coalesce(sum(n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables)",
            ),
        }
        if connection.info.server_version >= 180000:
            syncs = "(SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal')"
            figures["fsyncs/job"] = _one(connection, syncs)
        return figures


def _one(connection: Connection, expression: str) -> float:
    return float(connection.execute(f"SELECT {expression}".encode()).fetchall()[0][0])


def _per_job(before: Figures, after: Figures, jobs: int) -> Figures:
    return {name: (after[name] - value) / jobs for name, value in before.items()}
