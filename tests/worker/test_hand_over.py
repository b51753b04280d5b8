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
from pgqueue.operations import ClaimedInTurn, Operation
from pgqueue.worker import Worker
from pgqueue.worker.agents import cursor
from pgqueue.worker.agents.fetcher import Fetcher
from tests.worker.conftest import Work
from tests.worker.store import Store, ended

JOBS = 60
ORDERED = Limits(ordered=True)
Asked: TypeAlias = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["claim_in_turn", "hand_over"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a claim goes along, always, however slow the machine is: in a transaction of its own,
    for all keys, or in that of the outcome, for the keys that are free now."""
    way: str = request.param
    monkeypatch.setattr(cursor, "HAND_OVER_SECONDS", 60.0)
    monkeypatch.setattr(cursor, "LOOK_SECONDS", 0.0 if way == "claim_in_turn" else 60.0)
    return way


def watch(worker: Worker, around: Callable[[Asked], Asked]) -> None:
    """Puts something around all that goes along from now on: the operations that are asked in one
    round trip, the claim last."""
    line: Any = worker._agents.completions.connection
    execute, execute_both = line.execute, line.execute_both
    one = around(execute)
    line.execute_both = around(execute_both)
    line.execute = lambda asked: (one if asked.name == "hand_over" else execute)(asked)


async def hand_over(
    app: App,
    work: Work,
    around: Callable[[Asked], Asked],
    also: Callable[[Worker], None] = lambda worker: None,
    limits: Limits = ORDERED,
) -> list[int]:
    """Runs the jobs of one ordered key; the order in which they ran."""
    ran: list[int] = []

    @app.task
    async def step(number: int) -> None:
        ran.append(number)

    await app.execute_async(operations.declare_limits("default", limits))
    worker = await work(concurrency=5)
    watch(worker, around)
    also(worker)
    jobs = [step.job(number).options(key="k") for number in range(JOBS)]
    for handle in await app.enqueue_async(jobs):
        await ended(app, handle, within=60)
    return ran


def claimed(answers: Any) -> list[Any]:
    """The jobs in the answer to what was asked in one round trip."""
    jobs = answers[1]
    return list(jobs.jobs if isinstance(jobs, ClaimedInTurn) else jobs or [])


def spoilt(*asked: Operation[Any]) -> list[Operation[Any]]:
    """The same, but for a claim that must fail."""
    *before, last = asked
    params = {**last.params, "limit": "no number"}
    return [*before, Operation(last.name, params, last.decode)]


async def test_a_claim_goes_along_with_the_outcome_it_has_waited_for(
    app: App, work: Work, way: str
) -> None:
    together: list[tuple[str, int]] = []

    def noted(ask: Asked) -> Asked:
        async def both(*asked: Operation[Any]) -> Any:
            answers = await ask(*asked)
            together.append((asked[-1].name, len(claimed(answers))))
            return answers

        return both

    ran = await hand_over(app, work, noted)

    assert ran == list(range(JOBS))
    assert (way, 1) in together


@pytest.mark.parametrize("carried_out", [False, True])
async def test_both_answers_are_lost(app: App, work: Work, carried_out: bool) -> None:
    """Nothing runs twice, nothing is overtaken, nothing stays behind."""
    lost = 0

    def losing(ask: Asked) -> Asked:
        async def both(*asked: Operation[Any]) -> Any:
            nonlocal lost
            answers = await ask(*asked) if carried_out else None
            if not lost and (answers is None or claimed(answers)):
                lost += 1
                raise StoreUnavailable("the answer is lost")
            return answers if answers is not None else await ask(*asked)

        return both

    assert await hand_over(app, work, losing) == list(range(JOBS))
    assert lost == 1


async def test_an_error_of_the_claims_takes_no_outcome_with_it(app: App, work: Work) -> None:
    failed = 0

    def failing(ask: Asked) -> Asked:
        async def both(*asked: Operation[Any]) -> Any:
            nonlocal failed
            failed += 1
            return await ask(*spoilt(*asked))

        return both

    assert await hand_over(app, work, failing) == list(range(JOBS))
    assert failed > 0


async def test_a_queue_with_other_limits_is_asked_again_in_turn(app: App, work: Work) -> None:
    """What hands over finds no job there: it is left alone for a moment."""
    names: list[str] = []

    def noted(ask: Asked) -> Asked:
        async def both(*asked: Operation[Any]) -> Any:
            names.append(asked[-1].name)
            return await ask(*asked)

        return both

    ran = await hand_over(app, work, noted, limits=Limits(ordered=True, concurrency=3))

    assert ran == list(range(JOBS))
    assert names.count("hand_over") <= 1 + names.count("claim_in_turn")


async def test_an_end_is_told_when_the_store_knows_of_it(
    app: App, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks for a free place before that finds none, and is not told again."""
    happened: list[str] = []
    ended_before = Fetcher.ended

    def told(fetcher: Fetcher, **more: Any) -> None:
        happened.append("told")
        ended_before(fetcher, **more)

    def failing(ask: Asked) -> Asked:
        async def both(*asked: Operation[Any]) -> Any:
            happened.append("failed")
            return await ask(*spoilt(*asked))

        return both

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
