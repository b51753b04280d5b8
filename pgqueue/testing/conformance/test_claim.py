"""claim: each job to one worker, most urgent first, attempt + 1, a fresh lease."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgqueue.jobs.job import State
from pgqueue.operations import ClaimedJob, Floor, Lower
from pgqueue.testing.conformance.store import NOON, Store, a_job, ids, read


def test_an_empty_queue_hands_out_nothing(store: Store) -> None:
    assert store.claim() == []


def test_a_claimed_job_belongs_to_its_worker(store: Store) -> None:
    id = store.add()
    store.passes(seconds=3)
    [claimed] = store.claim()
    job = store.job(id)

    assert (job.state, job.worker, job.lease) == (State.RUNNING, store.worker, claimed.lease)
    assert (job.attempt, claimed.attempt) == (1, 1)
    assert job.claimed_at == NOON + timedelta(seconds=3)


def test_a_claim_hands_over_what_it_takes_to_run(store: Store) -> None:
    [handle] = store.enqueue(
        a_job(
            "greet",
            args='{"whom": "Ada"}',
            queue="mail",
            priority=3,
            max_attempts=7,
            timeout=timedelta(seconds=1.5),
            tags=("eu",),
            metadata='{"by": 1}',
        )
    )
    [job] = store.claim(queue="mail")

    assert (job.id, job.task, job.queue, job.priority) == (handle.id, "greet", "mail", 3)
    assert (read(job.args), read(job.metadata)) == ({"whom": "Ada"}, {"by": 1})
    assert (job.max_attempts, job.timeout_seconds, job.tags) == (7, 1.5, ["eu"])
    assert (job.rescues, job.progress, job.workflow) == (0, None, None)
    assert job.run_at == NOON.timestamp()


def test_no_job_is_claimed_twice(store: Store) -> None:
    other = store.join().worker
    store.enqueue(*(a_job() for _ in range(10)))

    claims = [store.claim(4), store.claim(4, by=other), store.claim(4)]

    assert [len(claim) for claim in claims] == [4, 4, 2]
    assert len({job.id for claim in claims for job in claim}) == 10


def test_every_claim_has_a_lease_of_its_own(store: Store) -> None:
    first = store.running()
    store.release(first)
    second = store.take()

    assert second.id == first.id
    assert second.lease != first.lease


def test_hands_out_the_most_urgent_first(store: Store) -> None:
    store.enqueue(*(a_job(f"p{p}", priority=p) for p in (5, 32767, 0, -1, -32768, 0)))

    assert [job.task for job in store.claim()] == ["p-32768", "p-1", "p0", "p0", "p5", "p32767"]


def test_the_most_urgent_are_taken_when_there_are_more_than_the_limit(store: Store) -> None:
    store.enqueue(*(a_job(f"p{p}", priority=p) for p in (4, 2, 3, 1)))

    assert [job.task for job in store.claim(2)] == ["p1", "p2"]
    assert [job.task for job in store.claim(2)] == ["p3", "p4"]


def test_within_a_priority_the_first_available_is_the_first_claimed(store: Store) -> None:
    handles = [store.enqueue(a_job())[0] for _ in range(5)]

    assert [store.take().id for _ in range(5)] == [handle.id for handle in handles]


@pytest.mark.parametrize("limit", [1, 2, 5, 7])
def test_never_hands_out_more_than_the_limit(store: Store, limit: int) -> None:
    store.enqueue(*(a_job(priority=n % 3) for n in range(7)))

    assert len(store.claim(limit)) == limit


def test_a_limit_of_nothing_hands_out_nothing(store: Store) -> None:
    store.add()

    assert store.claim(0) == []


def test_queues_know_nothing_of_each_other(store: Store) -> None:
    urgent = a_job("urgent", queue="b", priority=-1)
    store.enqueue(a_job("a", queue="a"), a_job("b", queue="b"), urgent)

    assert [job.task for job in store.claim(queue="a")] == ["a"]
    assert [job.task for job in store.claim(queue="b")] == ["urgent", "b"]
    assert store.claim(queue="A") == []


def test_hands_out_only_what_is_available(store: Store) -> None:
    running = store.running()
    retryable = store.running()
    store.fail(retryable, retry_in=timedelta(minutes=1))
    store.complete(store.running())
    parent, *_ = store.enqueue(a_job("later", delay=timedelta(minutes=1)))
    store.add(a_job().after(parent))
    store.passes(hours=1)

    assert store.claim() == []
    assert store.state(running) == State.RUNNING


def test_the_attempts_are_counted(store: Store) -> None:
    job = store.running()
    for attempt in (2, 3, 4):
        store.fail(job)
        job = store.take()
        assert job.attempt == attempt


# A job takes its place anew each time it becomes available


def _behind(store: Store, id: int, first: int) -> None:
    """Check that *id*, which is older than *first*, is claimed after it."""
    assert id < first
    assert ids(store.claim()) == [first, id]


def test_a_failed_job_goes_to_the_end_of_its_priority(store: Store) -> None:
    job = store.running()
    other = store.add()
    store.fail(job)

    _behind(store, job.id, other)


def test_a_released_job_goes_to_the_end_of_its_priority(store: Store) -> None:
    job = store.running()
    other = store.add()
    store.release(job)

    _behind(store, job.id, other)


def test_a_promoted_job_goes_to_the_end_of_its_priority(store: Store) -> None:
    id = store.add(a_job(delay=timedelta(seconds=1)))
    other = store.add()
    store.passes(seconds=1)
    store.promote()

    _behind(store, id, other)


def test_a_retried_job_goes_to_the_end_of_its_priority(store: Store) -> None:
    job = store.running()
    store.complete(job)
    other = store.add()
    store.retry(job)

    _behind(store, job.id, other)


def test_a_rescued_job_goes_to_the_end_of_its_priority(store: Store) -> None:
    job = store.running(by=store.join().worker)
    other = store.add()
    store.passes(minutes=2)
    store.heartbeat()
    store.rescue()

    _behind(store, job.id, other)


def test_an_unblocked_job_goes_to_the_end_of_its_priority(store: Store) -> None:
    parent = a_job()
    _, child = store.enqueue(parent, a_job().after(parent))
    taken = store.take()
    other = store.add()
    store.complete(taken)

    _behind(store, child.id, other)


@pytest.mark.parametrize(
    "way",
    ["fail", "release", "rescue", "sweep", "promote", "retry", "retry finished", "complete"],
)
def test_jobs_that_become_available_together_keep_the_order_of_their_ids(
    store: Store, way: str
) -> None:
    """The store may keep them in another order: the one in which it last wrote them."""
    worker = store.join().worker
    parent, *others = store.enqueue(*[a_job(queue="parents")] * 9)
    jobs = store.enqueue(*(a_job().after(parent, other) for other in others))
    first, *those = store.claim(queue="parents")
    if way == "complete":
        for other in reversed(those):
            store.complete(other)
        store.complete(first)
    else:
        store.complete(first, *those)
        taken = store.claim(by=worker)
        for job in reversed(taken):
            store.progress(job, progress="{}")
        _return(store, way, taken, worker)

    assert ids(store.claim()) == [job.id for job in jobs]


def _return(store: Store, way: str, taken: list[ClaimedJob], worker: int) -> None:
    later = timedelta(minutes=1)
    if way == "fail":
        store.fail(*taken)
    elif way == "release":
        store.release(*taken)
    elif way == "rescue":
        store.passes(minutes=2)
        store.heartbeat()
        assert len(store.rescue().jobs) == len(taken)
    elif way == "sweep":
        store.leave(worker)
        store.passes(minutes=2)
        assert store.sweep().orphaned == len(taken)
    elif way == "promote":
        for job in reversed(taken):
            store.fail(job, retry_in=later)
        store.passes(minutes=1)
        assert store.promote().queues == {"default": len(taken)}
    else:
        for job in reversed(taken):
            if way == "retry":
                store.fail(job, retry_in=later)
            else:
                store.discard(job)
        store.retry(*reversed(taken))


# Floors: where to start, as far as one knows


def test_a_job_below_the_floor_is_not_seen(store: Store) -> None:
    first, second, third = store.jobs(*store.enqueue(a_job(), a_job(), a_job()))
    assert second.position is not None

    assert ids(store.claim(floors=[Floor(0, second.position)])) == [third.id]
    assert ids(store.claim()) == [first.id, second.id]


def test_a_floor_concerns_its_priority_alone(store: Store) -> None:
    store.enqueue(*(a_job(f"p{p}", priority=p) for p in (-32768, -3, -2, -1, 0, 1, 2, 3, 32767)))
    far = 2**53

    claimed = store.claim(floors=[Floor(-2, far), Floor(0, far), Floor(2, far)])

    expected = ["p-32768", "p-3", "p-1", "p1", "p3", "p32767"]
    assert [job.task for job in claimed] == expected
    assert [job.task for job in store.claim()] == ["p-2", "p0", "p2"]


@pytest.mark.parametrize("edge", [-32768, 32767])
def test_a_floor_may_be_at_the_last_priority(store: Store, edge: int) -> None:
    low, high = store.jobs(*store.enqueue(a_job(priority=edge), a_job(priority=edge)))
    other = store.add(a_job(priority=0))
    assert low.position is not None

    assert set(ids(store.claim(floors=[Floor(edge, low.position)]))) == {high.id, other}


def test_floors_keep_the_order_and_the_limit(store: Store) -> None:
    positions = {}
    for priority in (1, 2, 3):
        taken, *_ = store.jobs(*store.enqueue(*(a_job(f"p{priority}", priority=priority),) * 3))
        positions[priority] = taken.position or 0
    store.enqueue(a_job("p0", priority=0), a_job("p9", priority=9))
    floors = [Floor(*floor) for floor in positions.items()]

    claimed = store.claim(4, floors=floors)

    assert [job.task for job in claimed] == ["p0", "p1", "p1", "p2"]
    assert [job.task for job in store.claim(4, floors=floors)] == ["p2", "p3", "p3", "p9"]


@pytest.mark.parametrize(
    ("lower", "expected"),
    [
        (Lower(0, 0), ["p1", "p2", "p3", "p3"]),
        (Lower(0, 1), ["p2", "p3", "p3", "p1"]),
        (Lower(1, 2), ["p3", "p3", "p2"]),
        (Lower(2, 32_767), ["p3", "p3"]),
        (Lower(3, 3), []),
    ],
)
def test_lower_priorities_have_their_turn(store: Store, lower: Lower, expected: list[str]) -> None:
    for priority in (0, 1, 2, 3, 3):
        store.add(a_job(f"p{priority}", priority=priority))
    floors = [Floor(priority, 0) for priority in (-5, 0, 1, 2)]

    one_by_one = [job.task for _ in range(4) for job in store.claim(1, floors=floors, lower=lower)]

    assert one_by_one == expected
    assert "p0" in {job.task for job in store.claim()}


def test_a_job_that_returns_is_above_the_floor(store: Store) -> None:
    store.enqueue(a_job(), a_job())
    job, other = store.claim()
    floor = [Floor(0, other.position)]
    store.fail(job)
    store.release(other)

    assert ids(store.claim(floors=floor)) == [job.id, other.id]
