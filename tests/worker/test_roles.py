"""A worker whose role may do nothing but work."""

from __future__ import annotations

from pgqueue import App
from pgqueue.jobs.job import State
from tests.postgres.roles import a_role, as_role
from tests.worker import shop as tasks
from tests.worker.conftest import Start
from tests.worker.process import eventually
from tests.worker.store import Store

DAYS = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^archive_.*_\\d+_\\d+$'"


def test_a_worker_that_owns_nothing_runs_what_an_enqueuer_enqueued(
    start: Start, store: Store
) -> None:
    with a_role(store.url, "worker") as worker, a_role(store.url, "enqueuer") as enqueuer:
        running = start(as_role(store.url, worker)).started()
        eventually(lambda: store.value(DAYS) == 6)
        web = App(as_role(store.url, enqueuer))
        first = tasks.ring.job()
        handles = web.enqueue([first, tasks.ring.job().after(first)])
        eventually(lambda: store.all_finished(handles))
        web.close()

        assert [job.state for job in store.jobs(handles)] == [State.COMPLETED] * 2
        running.kill()
        assert "Traceback" not in running.log
