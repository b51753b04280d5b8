"""Tasks that fork: the child is no part of the worker."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import psutil
import pytest

from pgqueue import App
from pgqueue.jobs.job import State
from tests.worker import shop as tasks
from tests.worker.conftest import Start
from tests.worker.process import Shop, WorkerProcess, eventually, least
from tests.worker.store import Store

RESCUED_WITHIN = 5.0


async def runs_elsewhere_after(app: App, start: Start, shop: Shop, how: str) -> float:
    """How long a job waits whose worker was killed while a child that it forked lives on."""
    (shop.folder / "again").unlink(missing_ok=True)
    before, gate = len(shop.marks("again")), f"gate{len(shop.marks())}"
    worker = start().started()
    app.enqueue(tasks.fork.job(how, gate))
    fork = eventually(lambda: [mark for mark in shop.marks("fork") if is_child(mark.pid, worker)])
    child = psutil.Process(fork[0].pid)
    try:
        other = start().started()
        shop.open("again")
        worker.kill()
        killed_at = monotonic()
        eventually(lambda: len(shop.marks("again")) > before)
        took = monotonic() - killed_at
        print(f"after {how} it ran {took:.2f} s later")
        assert child.is_running()
    finally:
        # A process of a pool whose maker was killed waits for work for ever: it holds the other
        # end of its own pipe. So the gate is not enough.
        child.kill()
    other.kill()
    return took


def is_child(pid: int, worker: WorkerProcess) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).ppid() == worker.pid


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["os.fork", "multiprocessing", "a pool"])
async def test_a_forked_child_does_not_keep_a_killed_worker_alive(
    how: str, start: Start, store: Store, shop: Shop
) -> None:
    age = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())"
    eventually(lambda: store.value(age) > 10)

    await least(
        lambda: runs_elsewhere_after(store.app, start, shop, how), below=RESCUED_WITHIN, tries=1
    )


@pytest.mark.timeout(300)
async def test_a_forked_child_does_not_keep_a_killed_worker_of_a_file_alive(
    start: Start, shop: Shop, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    app = App(url)
    await least(
        lambda: runs_elsewhere_after(app, lambda: start(url), shop, "os.fork"),
        below=RESCUED_WITHIN,
        tries=1,
    )
    app.close()


def test_a_forked_child_that_ends_takes_no_session_along(
    start: Start, store: Store, shop: Shop
) -> None:
    start().started()
    sessions = "SELECT array_agg(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory'"
    [first] = store.enqueue(tasks.fork_briefly.job())
    eventually(lambda: store.all_finished([first]))
    present = store.value(sessions)

    handles = store.enqueue(*[tasks.fork_briefly.job() for _ in range(3)])

    eventually(lambda: store.all_finished(handles))
    assert [(job.state, job.result) for job in store.jobs(handles)] == [(State.COMPLETED, 0)] * 3
    assert store.value(sessions) == present


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_process_of_the_pool_may_have_pools_of_its_own(
    how: str, start: Start, store: Store
) -> None:
    start(pool_processes=1)
    [handle] = store.enqueue(tasks.nest.job(how))

    job = eventually(lambda: store.all_finished([handle]) and store.job(handle))

    assert (job.state, job.result) == ("completed", [1, 2, 3, 4])
