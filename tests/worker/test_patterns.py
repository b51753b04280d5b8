"""Which queues a worker serves, where it was given patterns; and how many jobs it takes in all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from pgqueue import App
from pgqueue.operations import inspections
from pgqueue.worker import Options, Worker
from pgqueue.worker.agents import finder
from tests.worker.conftest import Start, Work
from tests.worker.process import PATIENCE, eventually
from tests.worker.shop import count_letters
from tests.worker.store import Store, becomes


def options(**given: object) -> Options:
    return Options(**given)  # type: ignore[arg-type]


def test_a_pattern_means_queues_by_their_names() -> None:
    given = options(queues="gpu.*:2,mail,*.slow", exclude_queues="gpu.b*,x.slow")

    assert given.queue_concurrency == {"mail": None}
    assert given.matching(["mail", "gpu.a", "gpu.b", "gpu.", "gpu", "x.slow", "y.slow"]) == {
        "gpu.a": 2,
        "gpu.": 2,
        "y.slow": None,
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"queues": "mail", "exclude_queues": "m*"}, "mail is among exclude_queues"),
        ({"queues": "gpu.["}, "a name has 1 to 128"),
        ({"queues": "*", "exclude_queues": "a b"}, "a name has 1 to 128"),
        ({"max_jobs": 0}, "at least one"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        options(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ["queues that are not served here: gpu.a (draw, render), mail (send)"]),
        ({"queues": "mail,default"}, ["queues that are not served here: gpu.a (draw, render)"]),
        ({"queues": "gpu.*,mail"}, ["queues that are not served here: default (ring)"]),
        ({"queues": "*"}, []),
        ({"queues": "*", "exclude_queues": "gpu.*"}, []),
    ],
)
async def test_says_once_which_tasks_it_does_not_run(
    given: dict[str, str], said: list[str], app: App, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    for name, queue in {"send": "mail", "render": "gpu.a", "draw": "gpu.a"}.items():
        app.task(name=name, queue=queue)(lambda: None)
    app.task(name="ring", aliases=["bell"])(lambda: None)
    caplog.set_level("INFO")

    await work(**given)

    lines = [line for line in caplog.messages if "not served" in line]
    assert lines == [f"{line}; --queues says which are" for line in said]


async def comes_true(condition: Callable[[], bool]) -> None:
    """Returns when *condition* holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_queue_that_appears_later_is_served(app: App, work: Work) -> None:
    @app.task(queue="gpu.a")
    async def render() -> None: ...

    @app.task(queue="cpu")
    async def other() -> None: ...

    worker = await work(queues="gpu.*")
    [present] = await app.execute_async(inspections.workers())
    assert present.queues == ["gpu.a"]  # that of our own task
    late, not_ours = await app.enqueue_async(render.job(), other.job())

    await becomes(app, late, "completed")
    again = await app.enqueue_async(render.job().options(queue="gpu.b"))
    await becomes(app, again, "completed")
    [job] = (await app.execute_async(inspections.get([not_ours]))).values()
    assert job.state == "available"
    async with asyncio.timeout(PATIENCE):
        while True:
            [present] = await app.execute_async(inspections.workers())
            if present.queues == ["gpu.a", "gpu.b"]:
                break
            await asyncio.sleep(0.01)
    assert present.id == worker.id


async def test_excluded_queues_are_left_alone(app: App, work: Work) -> None:
    @app.task
    async def task() -> None: ...

    slow = await app.enqueue_async(task.job().options(queue="slow"))
    quick = await app.enqueue_async(task.job().options(queue="quick"))
    await work(queues="*", exclude_queues="slow")

    await becomes(app, quick, "completed")
    await becomes(app, await app.enqueue_async(task.job().options(queue="other")), "completed")
    await becomes(app, slow, "available")


async def test_a_limit_is_each_queues_own(app: App, work: Work) -> None:
    running: dict[str, int] = {}
    most: dict[str, int] = {}
    gate = asyncio.Event()

    @app.task
    async def task(queue: str) -> None:
        running[queue] = running.get(queue, 0) + 1
        most[queue] = max(most.get(queue, 0), running[queue])
        await gate.wait()
        running[queue] -= 1

    jobs = [task.job(queue).options(queue=queue) for queue in ("a.1", "a.2") for _ in range(4)]
    handles = await app.enqueue_async(jobs)
    await work(queues="a.*:2")
    await comes_true(lambda: running == {"a.1": 2, "a.2": 2})
    gate.set()
    for handle in handles:
        await becomes(app, handle, "completed")

    assert most == {"a.1": 2, "a.2": 2}


async def test_a_queue_without_jobs_is_given_up_and_taken_up_again(
    app: App, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "IDLE_SECONDS", 0.2)

    @app.task
    async def task() -> None: ...

    worker = await work(queues="now.*")
    for _ in range(2):
        job = task.job().options(queue="now.and.then")
        await becomes(app, await app.enqueue_async(job), "completed")
        await comes_true(lambda: not worker._agents.fetcher._cursors)


async def test_a_drain_finds_the_queues_first(app: App) -> None:
    @app.task
    async def first() -> None: ...

    handles = await app.enqueue_async(
        [first.job().options(queue=f"q.{n}") for n in range(5)]
        + [first.job().options(queue="q.late", delay=0.001)]
    )
    await Worker(app, Options(queues="q.*", drain=True)).run()

    found = await app.execute_async(inspections.get(handles))
    assert {job.state for job in found.values()} == {"completed"}


@pytest.mark.parametrize("count", [1, 7])
async def test_so_many_jobs_and_no_more(app: App, count: int) -> None:
    @app.task
    async def task() -> None:
        await asyncio.sleep(0)

    await app.enqueue_async([task.job() for _ in range(20)])
    await Worker(app, Options(max_jobs=count, grace=0)).run()

    counts = (await app.execute_async(inspections.count())).counts
    assert [(c.state, c.count) for c in counts] == [("available", 20 - count)]


async def test_the_last_jobs_may_take_longer_than_the_grace_period(app: App) -> None:
    @app.task
    async def long() -> str:
        await asyncio.sleep(0.5)
        return "done"

    handle = await app.enqueue_async(long.job())
    await Worker(app, Options(max_jobs=1, grace=0.05)).run()

    assert (await becomes(app, handle, "completed")).attempt == 1


def test_a_supervisor_renews_a_worker_that_has_had_enough(store: Store, start: Start) -> None:
    handles = store.enqueue(*(count_letters.job(str(n)) for n in range(30)))
    worker = start(processes=2, max_jobs=5)

    eventually(lambda: store.all_finished(handles))

    eventually(lambda: len(re.findall(r"worker \d+ started", worker.log)) >= 6)
    assert "exit code" not in worker.log
