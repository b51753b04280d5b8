"""A part of a queue's claims goes to its lower priorities, while urgent jobs wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest

from pgqueue import App, operations
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import Limits
from pgqueue.operations import ClaimedJob, inspections
from pgqueue.worker import Options, Worker
from pgqueue.worker.agents.lowest_share import FIRST_REST_SECONDS, LowestShare

NEVER = datetime.min.replace(tzinfo=UTC)


@pytest.mark.parametrize("share", [None, 0.25])
def test_lower_priorities_have_their_share_of_the_starts(app: App, share: float | None) -> None:
    app.execute(operations.declare_limits("api", Limits(lowest_share=share)))

    @app.task(queue="api")
    async def nothing() -> None: ...

    priorities = [0] * 150 + [5] * 30 + [9] * 30
    app.enqueue([nothing.job().options(priority=each) for each in priorities])

    asyncio.run(_drained(app))

    done = app.execute(inspections.list_jobs(state=State.COMPLETED, limit=1_000))
    assert len(done) == len(priorities)
    started = sorted(done, key=lambda job: (job.claimed_at or NEVER, job.priority))
    first = Counter(job.priority for job in started[:120])
    if share is None:
        assert first == {0: 120}
    else:
        # The first claims are made before the worker has asked whether there is a share.
        assert 6 <= first[5] + first[9] <= 40
        assert min(first[5], first[9]) > 1


def test_jobs_with_keys_have_their_turns_instead(app: App) -> None:
    """A share changes nothing in a queue whose jobs have keys: no key starves another, whatever its
    priority, and within a key priorities are strict."""
    app.execute(operations.declare_limits("api", Limits(lowest_share=0.5)))

    @app.task(queue="api")
    async def nothing() -> None: ...

    urgent = [nothing.job().options(key="a") for _ in range(150)]
    late = [nothing.job().options(key="a", priority=5) for _ in range(30)]
    other = [nothing.job().options(key="b", priority=9) for _ in range(30)]
    app.enqueue([*urgent, *late, *other])

    asyncio.run(_drained(app))

    done = app.execute(inspections.list_jobs(state=State.COMPLETED, limit=1_000))
    assert len(done) == 210
    started = sorted(done, key=lambda job: (job.claimed_at or NEVER, job.priority))
    # One claim may have been under way before it was seen that there are keys.
    assert {job.key for job in started[:100]} == {"a", "b"}
    first_late = next(n for n, job in enumerate(started) if job.priority == 5)
    assert sum(job.priority == 0 for job in started[:first_late]) == 150


async def _drained(app: App) -> None:
    await Worker(app, Options(queues="api", concurrency=2, drain=True)).run()


def test_the_debt_is_paid_by_those_whose_turn_it_is() -> None:
    share = LowestShare()
    share.part = 0.1
    taken: Counter[int] = Counter()
    for _ in range(100):
        lower, limit = share.due(10, 0.0) or (None, 10)
        if lower is None:
            share.took(_jobs(0, limit), limit, 0.0)
            taken[0] += limit
        else:
            priority = {0: 3, 3: 7, 7: 3}[lower.after]
            share.took_lower(_jobs(priority, limit), limit, lower, 0.0)
            taken[priority] += limit

    assert 0.08 < (taken[3] + taken[7]) / taken.total() < 0.12
    assert abs(taken[3] - taken[7]) <= 1


def test_nobody_looks_for_lower_ones_that_are_not_there() -> None:
    share = LowestShare()
    share.part = 0.5
    share.took(_jobs(0, 10), 10, 0.0)
    due = share.due(10, 0.0)
    assert due is not None
    share.took_lower([], due[1], due[0], 0.0)
    share.took(_jobs(0, 10), 10, 0.0)

    assert share.due(10, FIRST_REST_SECONDS / 2) is None
    share.took(_jobs(0, 10), 10, FIRST_REST_SECONDS)
    assert share.due(10, FIRST_REST_SECONDS) is not None
    share.took(_jobs(0, 9), 10, FIRST_REST_SECONDS)
    assert share.due(10, FIRST_REST_SECONDS) is None


def _jobs(priority: int, count: int) -> list[ClaimedJob]:
    return [
        ClaimedJob(
            *(number, priority, number, 1, "noop", "{}", 10, None, 0.0, 0),
            *(None, None, None, None, "api", "", None, 1),
        )
        for number in range(count)
    ]
