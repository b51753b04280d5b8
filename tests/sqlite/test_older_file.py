"""A file that is replaced by an older one, while those who knew the newer one live on."""

from __future__ import annotations

import shutil
from pathlib import Path

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.backends.sqlite import SqliteBackend
from pgqueue.jobs.job import NewJob, State
from pgqueue.operations import Completed, inspections
from pgqueue.testing.conformance import PROFILE


def add(backend: SqliteBackend, task: str) -> int:
    [handle] = carry_out(operations.enqueue([NewJob(task)]), backend.execute)
    return handle.id


def test_who_had_a_job_in_the_newer_file_cannot_finish_it_in_the_older_one(tmp_path: Path) -> None:
    file, backup = tmp_path / "jobs.db", tmp_path / "backup.db"
    url = f"sqlite:///{file}"
    first = SqliteBackend(url)
    job = add(first, "t")
    first.close()
    shutil.copy(file, backup)
    first = SqliteBackend(url)
    before = first.execute(operations.join(PROFILE))
    assert first.execute(operations.claim("default", before.worker, before.lease, 1))
    first.close()

    backup.replace(file)
    second = SqliteBackend(url)
    after = second.execute(operations.join(PROFILE))
    assert second.execute(operations.claim("default", after.worker, after.lease, 1))

    assert after.worker != before.worker
    assert not second.execute(operations.complete([Completed(job, before.lease, '"stale"')]))
    found = second.execute(inspections.get([job]))[job]
    assert (found.state, found.worker) == (State.RUNNING, after.worker)
    second.close()


def test_a_job_goes_into_the_file_that_is_there_now(tmp_path: Path) -> None:
    file, other = tmp_path / "jobs.db", tmp_path / "other.db"
    SqliteBackend(f"sqlite:///{other}").execute(inspections.version())
    backend = SqliteBackend(f"sqlite:///{file}")
    add(backend, "before")

    other.replace(file)
    job = add(backend, "after")

    fresh = SqliteBackend(f"sqlite:///{file}")
    found = fresh.execute(inspections.get([job]))[job]
    assert found.task == "after"
    for opened in (backend, fresh):
        opened.close()


def test_a_job_goes_into_a_new_file_where_the_old_one_was_deleted(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    backend = SqliteBackend(f"sqlite:///{file}")
    add(backend, "before")

    for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    job = add(backend, "after")

    fresh = SqliteBackend(f"sqlite:///{file}")
    found = fresh.execute(inspections.get([job]))[job]
    assert found.task == "after"
    for opened in (backend, fresh):
        opened.close()
