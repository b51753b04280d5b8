"""Hand over hand: where only the end of a job lets the next one start, its claim goes along."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, TypeAlias

import psycopg
import pytest

from pgqueue import App, operations
from pgqueue.errors import StoreUnavailable
from pgqueue.jobs.limits import Limits
from pgqueue.operations import Operation
from pgqueue.worker import Worker
from pgqueue.worker.agents import cursor
from pgqueue.worker.agents.fetcher import Fetcher
from tests.worker.conftest import Work
from tests.worker.store import Store, ended

JOBS = 60
Both: TypeAlias = Callable[[Operation[Any], Operation[Any]], Awaitable[Any]]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is."""
    monkeypatch.setattr(cursor, "HAND_OVER_SECONDS", 60.0)


def watch(worker: Worker, around: Callable[[Both], Both]) -> None:
    """Puts something around all that goes along from now on."""
    completions = worker._agents.completions.connection
    completions.execute_both = around(completions.execute_both)  # type: ignore[attr-defined]


async def hand_over(
    app: App,
    work: Work,
    around: Callable[[Both], Both],
    also: Callable[[Worker], None] = lambda worker: None,
) -> list[int]:
    """Runs the jobs of one ordered key; the order in which they ran."""
    ran: list[int] = []

    @app.task
    async def step(number: int) -> None:
        ran.append(number)

    await app.execute_async(operations.declare_limits("default", Limits(ordered=True)))
    worker = await work(concurrency=5)
    watch(worker, around)
    also(worker)
    jobs = [step.job(number).options(key="k") for number in range(JOBS)]
    for handle in await app.enqueue_async(jobs):
        await ended(app, handle, within=60)
    return ran


async def test_a_claim_goes_along_with_the_outcome_it_has_waited_for(app: App, work: Work) -> None:
    together: list[tuple[str, str, int]] = []

    def noted(both: Both) -> Both:
        async def execute_both(first: Operation[Any], second: Operation[Any]) -> Any:
            answers = await both(first, second)
            together.append((first.name, second.name, len(answers[1].jobs)))
            return answers

        return execute_both

    ran = await hand_over(app, work, noted)

    assert ran == list(range(JOBS))
    assert ("complete", "claim_in_turn", 1) in together


@pytest.mark.parametrize("carried_out", [False, True])
async def test_both_answers_are_lost(app: App, work: Work, carried_out: bool) -> None:
    """Nothing runs twice, nothing is overtaken, nothing stays behind."""
    lost = 0

    def losing(both: Both) -> Both:
        async def execute_both(first: Operation[Any], second: Operation[Any]) -> Any:
            nonlocal lost
            answers = await both(first, second) if carried_out else None
            if not lost and (answers is None or answers[1].jobs):
                lost += 1
                raise StoreUnavailable("the answer is lost")
            return answers if answers is not None else await both(first, second)

        return execute_both

    assert await hand_over(app, work, losing) == list(range(JOBS))
    assert lost == 1


async def test_an_error_of_the_claims_takes_no_outcome_with_it(app: App, work: Work) -> None:
    failed = 0

    def failing(both: Both) -> Both:
        async def execute_both(first: Operation[Any], second: Operation[Any]) -> Any:
            nonlocal failed
            failed += 1
            params = {**second.params, "limit": "no number"}
            return await both(first, Operation(second.name, params, second.decode))

        return execute_both

    assert await hand_over(app, work, failing) == list(range(JOBS))
    assert failed > 0


async def test_an_end_is_told_when_the_store_knows_of_it(
    app: App, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks for a free place before that finds none, and is not told again."""
    happened: list[str] = []
    ended_before = Fetcher.ended

    def told(fetcher: Fetcher, **more: Any) -> None:
        happened.append("told")
        ended_before(fetcher, **more)

    def failing(both: Both) -> Both:
        async def execute_both(first: Operation[Any], second: Operation[Any]) -> Any:
            happened.append("failed")
            params = {**second.params, "limit": "no number"}
            return await both(first, Operation(second.name, params, second.decode))

        return execute_both

    def executing(worker: Worker) -> None:
        line = worker._agents.completions.connection
        execute = line.execute

        async def noted(operation: Operation[Any]) -> Any:
            answer = await execute(operation)
            happened.extend(["ended"] * (operation.name == "complete"))
            return answer

        line.execute = noted  # type: ignore[method-assign]

    monkeypatch.setattr(Fetcher, "ended", told)
    await hand_over(app, work, failing, executing)

    followed = {then for last, then in pairwise(happened) if last == "failed"}
    assert followed == {"ended"}


async def test_whoever_holds_a_job_holds_up_its_outcome_alone(
    app: App, work: Work, store: Store
) -> None:
    """A batch that meets a lock waits for a moment; the claim behind it is not lost."""
    begun, gate = asyncio.Event(), asyncio.Event()

    @app.task
    async def held() -> None:
        begun.set()
        await gate.wait()

    await app.execute_async(operations.declare_limits("default", Limits(key_concurrency=1)))
    await work(concurrency=5)
    first, second = await app.enqueue_async([held.job().options(key="k") for _ in range(2)])
    await begun.wait()
    with psycopg.connect(store.url) as other:
        other.execute("SELECT FROM pgqueue.job WHERE id = %s FOR UPDATE", [first.id])
        gate.set()
        [third] = await app.enqueue_async([held.job().options(key="other")])
        await ended(app, third, within=60)
    await ended(app, first, within=60)
    await ended(app, second, within=60)
