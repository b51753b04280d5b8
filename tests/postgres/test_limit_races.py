"""Claims that race for the last place: only a count in a snapshot newer than the lock is right."""

from __future__ import annotations

import re
import threading
from collections.abc import Awaitable, Callable, Sequence
from itertools import combinations, count
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg import AsyncRawCursor, IsolationLevel, RawCursor

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import Limits, Rate
from pgqueue.operations import Completed, inspections
from pgqueue.statements.files import load
from pgqueue.statements.sql import Step
from pgqueue.testing.conformance import Store, a_job
from tests.limits.checker import Checker
from tests.postgres.conftest import Racers
from tests.postgres.racer import Racer

RIGHT = load("postgres")["claim_in_turn"].steps
WORKERS, CLAIMS, PLACES = 4, 60, 3
GATE = 4711
Meeting: TypeAlias = Callable[[PostgresBackend, Racers, str], Awaitable[tuple[int, int]]]
LIMITS = {
    "queue": Limits(concurrency=PLACES),
    "key": Limits(key_concurrency=PLACES),
    "ordered": Limits(ordered=True),
}


class Worker(threading.Thread):
    """Claims again and again as a worker does, and finishes what it got."""

    def __init__(self, backend: PostgresBackend, worker: int, steps: Sequence[Step]) -> None:
        super().__init__()
        self._backend = backend
        self._worker = worker
        self._steps = steps
        self._leases = count(worker * 1_000_000)
        self.taken = 0

    def run(self) -> None:
        with psycopg.connect(self._backend.url, autocommit=True) as connection:
            for _ in range(CLAIMS):
                lease = next(self._leases)
                counting = bool(lease % 2)
                operation = operations.claim_in_turn(
                    "api", self._worker, lease, 4, counting=counting
                )
                with connection.transaction():
                    cursor = RawCursor(connection)
                    answers = [
                        cursor.execute(step.text, step.bind(operation.params)).fetchall()
                        for step in self._steps
                    ]
                jobs = operation.decode(answers).jobs
                self.taken += len(jobs)
                done = [Completed(job.id, job.lease) for job in jobs]
                self._backend.execute(operations.complete(done))


def race(backend: PostgresBackend, limits: Limits, steps: Sequence[Step] = RIGHT) -> Checker:
    store = Store(backend)
    store.now = None
    backend.execute(operations.declare_limits("api", limits))
    store.enqueue(*(a_job(queue="api", key="k") for _ in range(WORKERS * CLAIMS * 4)))
    workers = [Worker(backend, store.join().worker, steps) for _ in range(WORKERS)]
    checker = Checker(backend, "api", limits)
    with checker.looking():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert sum(worker.taken for worker in workers) > 0
    assert checker.looks > 10
    return checker


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", LIMITS)
def test_claims_that_race_never_exceed_a_limit(backend: PostgresBackend, name: str) -> None:
    assert race(backend, LIMITS[name]).broken == []


async def claim(racer: Racer, store: Store, steps: Sequence[Step], *, counting: bool = True) -> int:
    """Claim as a worker does, but commit nothing; how many jobs it got."""
    worker = store.join().worker
    lease = worker * 1_000_000
    operation = operations.claim_in_turn("api", worker, lease, 100, counting=counting)
    cursor = AsyncRawCursor(racer.connection)
    answers = []
    for step in steps:
        await cursor.execute(step.text, step.bind(operation.params))
        answers.append(await cursor.fetchall())
    return len(operation.decode(answers).jobs)


def limited(backend: PostgresBackend, name: str) -> Store:
    store = Store(backend)
    backend.execute(operations.declare_limits("api", LIMITS[name]))
    store.enqueue(*(a_job(queue="api", key="k") for _ in range(4 * PLACES)))
    return store


async def one_is_overtaken(
    backend: PostgresBackend,
    racer: Racers,
    name: str,
    steps: Sequence[Step] = RIGHT,
    running: int = 0,
    *,
    counting: bool = True,
) -> tuple[int, int]:
    """The first claim has its snapshot, and no lock yet, while the other claims and commits."""
    store = limited(backend, name)
    if running:
        backend.execute(operations.claim_in_turn("api", store.worker, 1, running))
    first, *others = steps
    waiting = first.sql.replace(
        "AS instant,", f"AS instant, pg_advisory_xact_lock_shared({GATE})::text AS waited,", 1
    )
    assert waiting != first.sql
    keeper, overtaken, other = [await racer() for _ in range(3)]
    await keeper.connection.execute("SELECT pg_advisory_xact_lock(%s)", [GATE])
    claiming = await overtaken.starts(
        claim(overtaken, store, [Step(waiting, first.params), *others], counting=counting),
        behind=keeper,
    )
    taken = await claim(other, store, steps)
    await other.commit()
    await keeper.commit()
    return taken, await claiming


async def both_are_open(
    backend: PostgresBackend, racer: Racers, name: str, steps: Sequence[Step] = RIGHT
) -> tuple[int, int]:
    """The second claims while the first has claimed, and has not committed."""
    store = limited(backend, name)
    one, other = await racer(), await racer()
    return await claim(one, store, steps), await claim(other, store, steps)


MEETINGS = pytest.mark.parametrize("meet", [one_is_overtaken, both_are_open])


@MEETINGS
@pytest.mark.parametrize("name", LIMITS)
async def test_of_two_claims_that_meet_one_takes_all_that_may_run(
    backend: PostgresBackend, racer: Racers, meet: Meeting, name: str
) -> None:
    assert await meet(backend, racer, name) == (1 if name == "ordered" else PLACES, 0)


async def test_a_count_that_begins_at_the_first_that_runs_sees_all_that_began_since(
    backend: PostgresBackend, racer: Racers
) -> None:
    assert await one_is_overtaken(backend, racer, "key", running=1) == (PLACES - 1, 0)


@pytest.mark.parametrize("running", [0, 1])
async def test_what_counts_nothing_at_first_counts_all_of_it_then(
    backend: PostgresBackend, racer: Racers, running: int
) -> None:
    taken = await one_is_overtaken(backend, racer, "key", running=running, counting=False)

    assert taken == (PLACES - running, 0)


async def test_a_count_in_the_first_snapshot_is_caught(
    backend: PostgresBackend, racer: Racers
) -> None:
    """The one that looks for keys: it is older than the lock, if another's commit came between."""
    first, second = RIGHT
    seen = first.sql.replace("'most', most,", "'most', least(has, most),")
    trusts_it = second.sql.replace("j.key = k.key AND j.permit", "false AND j.permit", 1)
    assert (seen, trusts_it) != (first.sql, second.sql)
    wrong = (Step(seen, first.params), Step(trusts_it, second.params))

    assert await one_is_overtaken(backend, racer, "key", wrong) == (PLACES, PLACES)


async def test_a_claim_without_a_lock_is_caught(backend: PostgresBackend, racer: Racers) -> None:
    first, second = RIGHT
    alone = re.sub(r"pg_try_advisory_xact_lock\([^)]*\)[^)]*\)\)", "true", first.sql)
    assert "pg_try" not in alone
    wrong = (Step(alone, first.params), second)

    assert await both_are_open(backend, racer, "key", wrong) == (PLACES, PLACES)


# Two sessions, a statement at a time


class Session:
    """A claim of a connection of its own that is carried out statement by statement."""

    def __init__(
        self, racer: Racer, queue: str, worker: int, steps: Sequence[Step], *, begins: bool
    ) -> None:
        self._racer = racer
        self._operation = operations.claim_in_turn(queue, worker, next(LEASES), 100)
        self._cursor = AsyncRawCursor(racer.connection)
        self._answers: list[list[tuple[Any, ...]]] = []
        self._left: list[Step | None] = [*steps, None]
        self._begins = begins
        self.taken = 0

    async def goes_on(self) -> None:
        """Take the snapshot of a strict isolation, then a statement, then the next; commit."""
        if self._begins:
            self._begins = False
            await self._cursor.execute("SELECT FROM pgqueue.job LIMIT 0")
            return
        if not self._left:
            return
        step = self._left.pop(0)
        try:
            if step is None:
                await self._racer.commit()
                self.taken = len(self._operation.decode(self._answers).jobs)
            else:
                await self._cursor.execute(step.text, step.bind(self._operation.params))
                self._answers.append(await self._cursor.fetchall())
        except psycopg.errors.SerializationFailure:
            await self._racer.rollback()
            self._left.clear()


LEASES = count(7_000_000)
STRICT = [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]
LEVELS = [IsolationLevel.READ_COMMITTED, *STRICT]
BOUNDED = LIMITS | {
    "rate": Limits(rate=Rate(PLACES, 3_600)),
    "key rate": Limits(key_rate=Rate(PLACES, 3_600)),
}


def orders(boundaries: int) -> list[str]:
    """In which orders two sessions can go on; the one that is first is called a."""
    places = combinations(range(1, 2 * boundaries), boundaries - 1)
    return [
        "".join("a" if n in {0, *chosen} else "b" for n in range(2 * boundaries))
        for chosen in places
    ]


async def interleaved(
    backend: PostgresBackend,
    racer: Racers,
    level: IsolationLevel,
    limits: Limits,
    steps: Sequence[Step] = RIGHT,
) -> dict[str, int]:
    """How many jobs two claims have taken together, by the order of their statements."""
    store = Store(backend)
    store.now = None
    begins = level != IsolationLevel.READ_COMMITTED
    workers = [store.join().worker for _ in "ab"]
    racers = [await racer(level) for _ in "ab"]
    took: dict[str, int] = {}
    for n, order in enumerate(orders(len(steps) + 1 + begins)):
        queue = f"q{n}"
        backend.execute(operations.declare_limits(queue, limits))
        store.enqueue(*(a_job(queue=queue, key="k") for _ in range(3 * PLACES)))
        sessions = {
            name: Session(each, queue, worker, steps, begins=begins)
            for name, each, worker in zip("ab", racers, workers, strict=True)
        }
        for name in order:
            await sessions[name].goes_on()
        took[order] = sum(session.taken for session in sessions.values())
        running = backend.execute(inspections.list_jobs(queue=queue, state=State.RUNNING))
        assert len(running) == took[order], order
    return took


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "level",
    [LEVELS[0], *(pytest.param(level, marks=pytest.mark.slow) for level in STRICT)],
    ids=lambda level: level.name,
)
@pytest.mark.parametrize("name", BOUNDED)
async def test_two_claims_take_what_may_run_whichever_statement_comes_first(
    backend: PostgresBackend, racer: Racers, level: IsolationLevel, name: str
) -> None:
    """At every boundary of a statement the other one goes on; one of them has a place, no more."""
    took = await interleaved(backend, racer, level, BOUNDED[name])

    assert len(took) == (10 if level == IsolationLevel.READ_COMMITTED else 35)
    assert set(took.values()) == {1 if name == "ordered" else PLACES}


async def test_an_order_shows_what_a_claim_without_a_lock_does(
    backend: PostgresBackend, racer: Racers
) -> None:
    first, second = RIGHT
    alone = re.sub(r"pg_try_advisory_xact_lock\([^)]*\)[^)]*\)\)", "true", first.sql)
    wrong = (Step(alone, first.params), second)

    took = await interleaved(backend, racer, IsolationLevel.READ_COMMITTED, BOUNDED["key"], wrong)

    assert max(took.values()) == 2 * PLACES
