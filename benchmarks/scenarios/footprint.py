"""footprint: what a job leaves behind in the database: WAL, commits, dead rows."""

from __future__ import annotations

from functools import partial

from benchmarks.clients import transaction
from benchmarks.contenders import Connection, Contender
from benchmarks.figures import Figures
from benchmarks.scenarios import Case
from benchmarks.site import await_span, connect, workers

JOBS = 50_000
SINGLE_JOBS = 2_000


def cases(size: int | None) -> list[Case]:
    jobs = size or JOBS
    return [
        Case("enqueued one by one", measure_singles),
        Case("enqueued at once", partial(measure_bulk, jobs=jobs)),
        Case("drained", partial(measure_drain, jobs=jobs)),
    ]


def measure_singles(contender: Contender, url: str) -> Figures:
    before = _counts(url)
    with connect(url) as connection:
        for _ in range(SINGLE_JOBS):
            transaction(contender, connection)
    return _per_job(before, _counts(url), SINGLE_JOBS)


def measure_bulk(contender: Contender, url: str, *, jobs: int) -> Figures:
    before = _counts(url)
    with connect(url) as connection:
        contender.fill(connection, jobs)
    return _per_job(before, _counts(url), jobs)


def measure_drain(contender: Contender, url: str, *, jobs: int) -> Figures:
    with connect(url) as connection:
        mark = contender.fill(connection, jobs)
    before = _counts(url)
    with workers(contender, url), connect(url) as connection:
        await_span(contender, connection, mark, jobs)
    return _per_job(before, _counts(url), jobs)


def _counts(url: str) -> Figures:
    """So far, in this database; asked when others have left, and so have handed in their counts."""
    with connect(url) as connection:
        return {
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


def _one(connection: Connection, expression: str) -> float:
    return float(connection.execute(f"SELECT {expression}".encode()).fetchall()[0][0])


def _per_job(before: Figures, after: Figures, jobs: int) -> Figures:
    return {name: (after[name] - value) / jobs for name, value in before.items()}
