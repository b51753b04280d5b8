"""What a task's code leaves behind, or raises past Exception: the worker goes on, and ends."""

from __future__ import annotations

import signal
from time import monotonic
from typing import Any

import pytest

from pgqueue.jobs.job import State
from tests.worker import shop as tasks
from tests.worker.conftest import Start
from tests.worker.process import Shop, eventually
from tests.worker.store import Store

WAYS = ["deaf coroutine", "deaf task", "executor", "thread"]
SECONDS = 20.0  # it takes about two; this machine may be busy


@pytest.mark.parametrize(
    ("how", "options"),
    [*((how, {}) for how in WAYS), (WAYS[0], {"processes": 2}), (WAYS[-1], {"reload": True})],
    ids=str,
)
def test_a_worker_ends_in_seconds_whatever_is_left(
    start: Start, store: Store, shop: Shop, how: str, options: dict[str, Any]
) -> None:
    worker = start(grace=0.5, **options)
    store.enqueue(tasks.linger.job(how))
    eventually(lambda: shop.marks("start"))

    worker.send(signal.SIGTERM)
    began = monotonic()

    assert worker.ends() == 0
    assert monotonic() - began < SECONDS


@pytest.mark.parametrize("how", WAYS[1:])
def test_a_worker_that_drains_ends_whatever_is_left(
    start: Start, store: Store, shop: Shop, how: str
) -> None:
    store.enqueue(tasks.linger.job(how))
    worker = start(drain=True)
    eventually(lambda: shop.marks("start"))

    assert worker.ends(within=SECONDS) == 0


@pytest.mark.parametrize("signals", [1, 2])
def test_a_worker_whose_event_loop_is_blocked_ends_after_its_grace_period(
    start: Start, store: Store, shop: Shop, signals: int
) -> None:
    worker = start(grace=0.5 if signals == 1 else 300)
    store.enqueue(tasks.linger.job("blocked loop"))
    eventually(lambda: shop.marks("start"))

    for number in [signal.SIGTERM, signal.SIGINT][:signals]:  # two alike might come as one
        worker.send(number)

    assert worker.ends(within=SECONDS) == 1
    worker.logs("leaving behind what still runs")


def test_a_worker_goes_on_whatever_a_task_raises(start: Start, store: Store) -> None:
    worker = start().started()
    failing = store.enqueue(
        tasks.interrupt.job("itself"),
        tasks.interrupt.job("awaited"),
        tasks.interrupt_in_thread.job(),
    )
    passing = store.enqueue(tasks.interrupt.job("forgotten"), tasks.interrupt.job("callback"))
    eventually(lambda: store.all_finished([*failing, *passing]))
    [after] = store.enqueue(tasks.ring.job())
    eventually(lambda: store.all_finished([after]))

    assert {job.state for job in store.jobs(failing)} == {State.DISCARDED}
    assert {job.errors[0].type for job in store.jobs(failing)} == {"KeyboardInterrupt"}
    assert {job.state for job in store.jobs([*passing, after])} == {State.COMPLETED}
    worker.logs("a task's code has raised past the event loop, which goes on")
    worker.send(signal.SIGTERM)
    assert worker.ends() == 0
