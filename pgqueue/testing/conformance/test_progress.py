"""progress: what a running job says of itself."""

from __future__ import annotations

from pgqueue import operations
from pgqueue.jobs.job import Progress
from pgqueue.operations import ProgressReport as Report
from pgqueue.testing.conformance.store import Store, a_job, needs


def test_keeps_what_a_running_job_reports(store: Store) -> None:
    job = store.running()

    assert store.progress(job, progress='{"fraction": 0.5, "note": "half"}') == {job.id}
    assert store.job(job).progress == Progress(fraction=0.5, note="half")


def test_a_report_changes_only_what_it_names(store: Store) -> None:
    job = store.running()
    store.progress(job, progress='{"fraction": 0.1, "checkpoint": {"row": 7}}')
    store.progress(job, progress='{"fraction": 0.9, "note": "soon"}')

    assert store.job(job).progress == Progress(0.9, "soon", {"row": 7})


def test_the_next_attempt_reads_the_last_checkpoint(store: Store) -> None:
    job = store.running()
    store.progress(job, progress='{"checkpoint": 7}')
    store.fail(job)
    again = store.take()

    assert again.progress is not None
    assert store.job(again).progress == Progress(checkpoint=7)


def test_a_finished_job_keeps_its_progress(store: Store) -> None:
    job = store.running()
    store.progress(job, progress='{"fraction": 1.0}')
    store.complete(job)

    assert store.job(job).progress == Progress(fraction=1.0)


def test_a_stale_lease_reports_nothing(store: Store) -> None:
    lost = store.running()
    store.progress(lost, progress='{"fraction": 0.5}')
    store.release(lost)
    assert store.progress(lost, progress='{"fraction": 0.9}') == set()
    held = store.take()

    assert store.progress(lost, progress='{"fraction": 0.9}') == set()
    assert store.job(held).progress == Progress(fraction=0.5)


def test_a_batch_keeps_what_is_held_and_tells_of_the_rest(store: Store) -> None:
    store.enqueue(a_job(), a_job(), a_job())
    first, lost, last = store.claim()
    store.complete(lost)
    reports = [
        Report(job.id, job.lease, f'{{"note": "job {job.id}"}}') for job in (last, lost, first)
    ]

    told = store.do(operations.progress(reports))

    assert told == {(first.id, first.lease), (last.id, last.lease)}
    assert [job.progress and job.progress.note for job in store.jobs(first, lost, last)] == [
        f"job {first.id}",
        None,
        f"job {last.id}",
    ]


@needs("transactions", "concurrency")
def test_does_not_wait_for_a_job_that_is_held_but_says_so(store: Store) -> None:
    held, free = store.running(), store.running()
    reports = [Report(job.id, job.lease, '{"fraction": 0.5}') for job in (held, free)]
    with store.backend.transaction() as executor:
        executor.execute(operations.cancel([held.id]))

        told = store.do(operations.progress(reports))

    assert told == {(free.id, free.lease)}
    assert told.held == {(held.id, held.lease)}
    told = store.do(operations.progress(reports))
    assert told == {(held.id, held.lease), (free.id, free.lease)}
    assert not told.held


def test_keeps_nothing_when_given_nothing(store: Store) -> None:
    assert store.do(operations.progress([])) == set()
