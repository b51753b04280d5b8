"""Declared, or failed, in unusual ways: the same in a coroutine, a thread and a process."""

from __future__ import annotations

import asyncio
import functools
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pgqueue import App
from pgqueue.errors import InvalidTask
from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from tests.worker import oddities
from tests.worker import shop as tasks
from tests.worker.conftest import Work
from tests.worker.process import Shop, soon
from tests.worker.store import ended

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("task", [oddities.fail_in_thread, oddities.fail_in_process], ids=str)
@pytest.mark.parametrize("kind", ["ApiError", "NotPickled", "ChangesOnTheWay", "Local", "Exits"])
async def test_the_retry_policy_sees_the_error_that_was_raised(
    app: App, work: Work, task: Any, kind: str
) -> None:
    app.add(task)
    await work(pool_processes=1)

    job = await ended(app, await app.enqueue_async(task.job(kind)))

    assert (job.state, job.attempt) == (State.DISCARDED, 1)
    assert job.errors[0].type == kind
    assert job.errors[0].message == "402: pay first"


@pytest.mark.parametrize("task", [oddities.fail_in_thread, oddities.fail_in_process], ids=str)
async def test_an_odd_error_that_cancels_its_job_does_so_in_a_process_too(
    app: App, work: Work, task: Any
) -> None:
    app.add(task)
    await work(pool_processes=1)

    job = await ended(app, await app.enqueue_async(task.job("OddlyCancelled")))

    assert (job.state, job.reason) == (State.CANCELLED, "order 402: pay first")


@pytest.mark.parametrize("task", [*oddities.here.values(), *oddities.there.values()], ids=str)
async def test_a_coroutine_that_is_returned_is_run(app: App, work: Work, task: Any) -> None:
    app.add(task)
    await work(pool_processes=1)

    given = {} if "partial" in task.name else {"n": 21}
    job = await ended(app, await app.enqueue_async(task.job(**given).options(max_attempts=1)))

    assert (job.state, job.result) == (State.COMPLETED, 42), job.errors


async def test_a_returned_coroutine_is_interrupted_when_its_time_is_up(
    app: App, work: Work
) -> None:
    async def wait() -> None:
        await asyncio.sleep(600)

    task = app.task(name="waits", timeout=0.5, max_attempts=1)(lambda: wait())
    await work()

    job = await ended(app, await app.enqueue_async(task.job()))

    assert job.errors[0].type == "OutOfTime"


def local() -> Callable[[], int]:
    def inner() -> int:
        return 1

    return inner


def module_that_no_child_finds() -> Callable[..., Any]:
    module = types.ModuleType("made_up")
    sys.modules["made_up"] = module
    exec("def task(): return 1", module.__dict__)
    return module.task  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "fn",
    [local(), functools.partial(local()), module_that_no_child_finds()],
    ids=["local", "partial", "no module"],
)
async def test_a_task_that_no_process_would_find_is_refused_at_the_start(
    app: App, work: Work, fn: Any
) -> None:
    task = app.task(name="hidden", executor="process")(fn)
    if fn.__module__ == "made_up":
        sys.modules["made_up"].task = task  # type: ignore[attr-defined]

    with pytest.raises(InvalidTask, match=r"hidden: .*a process"):
        await work()


SCRIPT = """
from pgqueue import App

app = App({url!r})

def impl(n: int) -> int:
    return 2 * n

other_name = app.task(executor="process", name="double")(impl)

if __name__ == "__main__":
    import asyncio
    app.enqueue(other_name.job(21).options(max_attempts=1))
    asyncio.run(app.run_worker(drain=True, pool_processes=1))
"""


@pytest.mark.parametrize("how", ["script", "module", "zip-like folder"])
def test_a_process_finds_tasks_of_the_main_module_however_it_was_started(
    how: str, app: App, postgres_url: str, tmp_path: Path
) -> None:
    package = tmp_path / "shoppe"
    package.mkdir()
    for name in ("run.py", "__main__.py"):
        (package / name).write_text(SCRIPT.format(url=postgres_url))
    (package / "__init__.py").write_text("")
    started = {
        "script": [str(package / "run.py")],
        "module": ["-m", "shoppe.run"],
        "zip-like folder": ["-m", "shoppe"],
    }[how]

    done = subprocess.run(
        [sys.executable, *started], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    [job] = app.execute(inspections.list_jobs())
    assert (job.state, job.result) == (State.COMPLETED, 42), done.stderr


def test_a_main_module_that_no_process_can_run_again_is_refused_at_the_start(
    postgres_url: str, tmp_path: Path
) -> None:
    program = SCRIPT.format(url=postgres_url)

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 1
    assert "InvalidTask: double: " in done.stderr
    assert "a process" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_leaves_signals_to_its_parent(
    app: App, work: Work, shop: Shop, number: signal.Signals
) -> None:
    app.add(tasks.print_label)
    await work(pool_processes=1)
    handle = await app.enqueue_async(tasks.print_label.job().options(max_attempts=1))

    [child] = await soon(_pool_processes)
    while not shop.marks("start"):  # from the first moment on
        child.send_signal(number)
        await asyncio.sleep(0.01)
    child.send_signal(number)
    shop.open()

    job = await ended(app, handle)
    assert (job.state, job.result) == (State.COMPLETED, child.pid), job.errors


async def test_what_a_process_starts_can_be_terminated(app: App, work: Work) -> None:
    app.add(oddities.ends_its_helpers)
    await work(pool_processes=1)

    job = await ended(app, await app.enqueue_async(oddities.ends_its_helpers.job()))

    assert job.result == [-signal.SIGTERM, -signal.SIGTERM], job.errors


def _pool_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _is_a_pool_process(child)]


def _is_a_pool_process(child: psutil.Process) -> bool:
    try:
        return "pgqueue.worker.running.child" in " ".join(child.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):  # of an earlier test: it ends just now
        return False
