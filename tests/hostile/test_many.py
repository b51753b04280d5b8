"""Forty thousand jobs in one call take four times as long as ten thousand, not sixteen times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from pgqueue import App, group, operations
from pgqueue.operations import ClaimedJob, Completed, Failed
from pgqueue.operations.leases import draw_block
from pgqueue.testing.conformance.store import PROFILE

FEW, MANY = 5_000, 20_000
# Cancel costs each job the same, and a machine with other things to do slows it like the others.
BEYOND_CANCEL = 2.2


@pytest.fixture(params=["postgres", "sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> App:
    if request.param == "postgres":
        return App(request.getfixturevalue("postgres_url"))
    app = App(f"sqlite:///{tmp_path}/jobs.db")
    app.enqueue(app.task(nothing).job())
    app.execute(operations.cancel([1]))
    return app


def nothing() -> None: ...


@pytest.mark.slow
def test_verbs_over_many_jobs_take_a_time_in_proportion(app: App) -> None:
    task = app.tasks.get("nothing") or app.task(nothing)
    worker = app.execute(operations.join(PROFILE)).worker
    spent: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        since = perf_counter()
        answer = work()
        spent.setdefault(name, []).append(perf_counter() - since)
        return answer

    def claim(count: int) -> Sequence[ClaimedJob]:
        lease = draw_block()
        return app.execute(operations.claim("default", worker, lease, count))

    def completed(jobs: Sequence[ClaimedJob]) -> list[Completed]:
        return [Completed(job.id, job.lease) for job in jobs]

    for count in (FEW, MANY) * 3:
        *ids, child = app.enqueue(group(task.job() for _ in range(count)).then(task.job()))
        timed("cancel", lambda: app.execute(operations.cancel(ids)))  # noqa: B023
        timed("retry", lambda: app.execute(operations.retry(ids)))  # noqa: B023
        jobs = claim(count)
        timed("fail", lambda: app.execute(operations.fail([_discarded(job) for job in jobs])))  # noqa: B023
        timed("retry again", lambda: app.execute(operations.retry(ids)))  # noqa: B023
        jobs = claim(count)
        assert len(jobs) == count
        timed("complete", lambda: app.execute(operations.complete(completed(jobs))))  # noqa: B023
        timed("complete twice", lambda: app.execute(operations.complete(completed(jobs))))  # noqa: B023
        [last] = claim(count)
        assert last.id == child.id
        app.execute(operations.complete(completed([last])))
    app.close()

    counted = {name for name, t in spent.items() if max(t) > 0.3} | {"cancel"}
    growth = {name: min(spent[name][1::2]) / min(spent[name][::2]) for name in counted}
    print({name: round(times, 1) for name, times in growth.items()})
    assert all(times < BEYOND_CANCEL * growth["cancel"] for times in growth.values()), growth


def _discarded(job: ClaimedJob) -> Failed:
    return Failed(job.id, job.lease, "discard", reason="no")
