"""rescue: the jobs of dead workers become available, or are discarded when they keep killing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgqueue import operations
from pgqueue.jobs.job import State
from pgqueue.operations import ClaimedJob, Rescue, Rescued
from pgqueue.testing.conformance.store import (
    NOON,
    PROFILE,
    Store,
    a_job,
    a_session,
    ids,
    needs,
    until,
)


def frozen(store: Store, *jobs: ClaimedJob) -> None:
    """Freeze all workers except the store's own."""
    store.passes(seconds=61)
    store.heartbeat(*jobs)


def test_a_frozen_workers_job_becomes_available_with_its_attempt_unspent(store: Store) -> None:
    dead = store.join(name="dead").worker
    job = store.running(a_job("heavy"), by=dead)
    frozen(store)

    rescued = store.rescue()

    assert rescued == Rescue([Rescued(job.id, State.AVAILABLE, dead, "heavy")], workers=1)
    saved = store.job(job)
    assert (saved.state, saved.attempt, saved.rescues, saved.lease) == ("available", 0, 1, None)
    assert dead not in store.workers()
    again = store.take()
    assert (again.id, again.attempt, again.rescues) == (job.id, 1, 1)


def test_the_job_remembers_who_was_lost(store: Store) -> None:
    dead = store.join(name="dead").worker
    job = store.running(by=dead)
    frozen(store)
    store.rescue()

    [error] = store.job(job).errors
    assert (error.type, error.attempt, error.worker) == ("WorkerLost", 1, dead)
    assert error.message == f"worker {dead} (dead) died or froze while it ran this job"
    assert error.at == NOON + timedelta(seconds=61)


def test_nothing_is_rescued_from_the_living(store: Store) -> None:
    job = store.running()
    done = store.running(by=store.join().worker)
    store.complete(done)
    frozen(store, job)

    assert store.rescue().jobs == []
    assert store.complete(job) == {job.id}


def test_a_heartbeat_a_moment_before_is_enough(store: Store) -> None:
    store.running()
    store.passes(seconds=59.9)
    assert store.rescue() == Rescue([], workers=1)

    store.passes(seconds=0.1)
    assert len(store.rescue().jobs) == 1


def test_patience_is_what_one_asks_for(store: Store) -> None:
    job = store.running()
    store.passes(seconds=61)

    assert store.rescue(frozen=timedelta(minutes=5)).jobs == []
    assert [saved.id for saved in store.rescue(frozen=timedelta(seconds=5)).jobs] == [job.id]


def test_rescues_all_jobs_of_all_dead_workers_in_their_order(store: Store) -> None:
    first, second = store.join().worker, store.join().worker
    store.enqueue(*(a_job() for _ in range(5)))
    claims = [store.claim(2, by=first), store.claim(2, by=second), store.claim(1)]
    frozen(store)

    rescued = store.rescue()

    lost = ids(claims[0]) + ids(claims[1])
    assert sorted(job.id for job in rescued.jobs) == lost
    assert rescued.workers == 1
    assert ids(store.claim()) == lost
    assert store.state(claims[2][0]) == State.RUNNING


def test_jobs_that_had_finished_stay_finished(store: Store) -> None:
    dead = store.join().worker
    store.enqueue(*(a_job() for _ in range(3)))
    done, waiting, lost = store.claim(by=dead)
    store.complete(done)
    store.fail(waiting, retry_in=timedelta(hours=1))
    frozen(store)

    assert [job.id for job in store.rescue().jobs] == [lost.id]
    assert store.states(done, waiting) == ["completed", "retryable"]


def test_the_old_owner_can_change_nothing_any_more(store: Store) -> None:
    job = store.running(by=(late := store.join().worker))
    frozen(store)
    store.rescue()

    def refused() -> bool:
        answers = [store.complete(job), store.fail(job), store.release(job)]
        return not any(
            [*answers, store.heartbeat(job, by=late), store.progress(job, progress="{}")]
        )

    assert refused()
    again = store.take()
    assert refused()
    assert store.complete(again) == {job.id}
    assert refused()


def test_a_worker_that_was_only_slow_is_known_again(store: Store) -> None:
    late = store.join(name="slow").worker
    job = store.running(by=late)
    frozen(store)
    store.rescue()

    assert store.heartbeat(job, by=late) == {}
    assert late in store.workers()
    again = store.take(by=late)
    assert set(store.heartbeat(again, by=late)) == {job.id}
    assert store.rescue() == Rescue([], workers=2)


def test_a_job_that_keeps_killing_its_workers_is_discarded(store: Store) -> None:
    job = store.running(a_job(max_attempts=1), by=store.join().worker)
    for n in range(1, 4):
        frozen(store)
        assert [saved.state for saved in store.rescue(max_rescues=3).jobs] == [State.AVAILABLE]
        job = store.take(by=store.join().worker)
        assert job.rescues == n
    frozen(store)

    assert [saved.state for saved in store.rescue(max_rescues=3).jobs] == [State.DISCARDED]

    dead = store.job(job)
    assert (dead.state, dead.rescues) == (State.DISCARDED, 4)
    assert dead.reason == "it has killed its worker 4 times"
    assert [error.type for error in dead.errors] == ["WorkerLost"] * 4
    assert store.claim() == []


def test_remembers_the_last_ten_errors(store: Store) -> None:
    job = store.running(a_job(max_attempts=100))
    for n in range(10):
        store.fail(job, error=f'{{"type": "E", "message": "{n}"}}')
        job = store.take(by=store.join().worker if n == 9 else None)
    frozen(store)
    store.rescue()

    errors = store.job(job).errors
    assert [error.type for error in errors] == ["E"] * 9 + ["WorkerLost"]
    assert errors[0].message == "1"


def test_a_job_that_was_asked_to_cancel_is_cancelled(store: Store) -> None:
    job = store.running(by=store.join().worker)
    store.cancel(job, reason="by hand")
    frozen(store)

    assert [saved.state for saved in store.rescue().jobs] == [State.CANCELLED]
    assert (store.state(job), store.job(job).reason) == (State.CANCELLED, "by hand")


def test_a_discarded_job_spoils_its_children(store: Store) -> None:
    job = store.running(by=store.join().worker)
    child, grandchild = a_job().after(job.id), a_job()
    [middle, last] = store.enqueue(child, grandchild.after(child))
    survivor = store.add(a_job().after(job.id, on_failure="run"))
    frozen(store)
    store.rescue(max_rescues=0)

    assert store.states(job, middle, last) == ["discarded", "cancelled", "cancelled"]
    assert store.state(survivor) == State.AVAILABLE


def test_what_is_not_kept_is_gone(store: Store) -> None:
    store.keep = frozenset()
    job = store.running(by=store.join().worker)
    frozen(store)
    store.rescue(max_rescues=0)

    assert store.missing(job)


def test_a_rescue_of_nothing_says_how_many_workers_live(store: Store) -> None:
    store.join()

    assert store.rescue() == Rescue([], workers=2)


# The leader judges by its own clock, and reports which workers were silent


def beats(store: Store) -> dict[int, str]:
    return {each.worker: each.beat for each in store.do(operations.watch())}


def test_a_worker_that_was_watched_in_its_silence_is_dead_whatever_the_clock_says(
    store: Store,
) -> None:
    dead = store.join().worker
    job = store.running(by=dead)
    silent = {dead: beats(store)[dead]}
    store.passes(days=-1)

    assert [saved.id for saved in store.rescue(silent=silent).jobs] == [job.id]
    assert dead not in store.workers()


def test_nobody_is_dead_because_the_clock_was_set(store: Store) -> None:
    job = store.running(by=store.join().worker)
    store.passes(days=1)

    assert store.rescue(silent={}) == Rescue([], workers=2)
    assert store.complete(job) == {job.id}


def test_who_has_spoken_since_he_was_seen_is_not_dead(store: Store) -> None:
    late = store.join().worker
    job = store.running(by=late)
    silent = {late: beats(store)[late]}
    store.passes(seconds=61)
    store.do(operations.alive(late, 1, PROFILE, now=store.now))

    assert store.rescue(silent=silent).jobs == []
    assert store.complete(job) == {job.id}


def test_a_sign_of_life_is_another_beat_also_when_the_clock_was_set_back(store: Store) -> None:
    before = beats(store)
    store.passes(minutes=-10)
    store.do(operations.alive(store.worker, 0, PROFILE, now=store.now))

    assert beats(store)[store.worker] != before[store.worker]


# A worker's session shows that it lives


@needs("sessions")
def test_a_suspicion_in_the_future_is_none(store: Store) -> None:
    """The clock was ten minutes ahead, and was set right."""
    dead = store.join().worker
    job = store.running(by=dead)
    store.has_session(dead)
    store.passes(minutes=10)
    store.rescue(silent={})
    store.passes(minutes=-10)

    assert store.rescue(silent={}).jobs == []
    assert not next(each for each in store.do(operations.watch()) if each.worker == dead).well
    store.passes(seconds=1)
    assert [saved.id for saved in store.rescue(silent={}).jobs] == [job.id]


@needs("sessions")
def test_a_worker_without_its_session_is_dead_at_the_second_sighting(store: Store) -> None:
    dead = store.join().worker
    job = store.running(by=dead)
    store.has_session(dead)

    assert store.rescue().jobs == []
    assert store.workers()[dead].suspected_at == NOON
    store.passes(seconds=0.9)
    assert store.rescue().jobs == []
    store.passes(seconds=0.1)
    assert [saved.id for saved in store.rescue().jobs] == [job.id]
    assert dead not in store.workers()


@needs("sessions")
def test_who_may_still_come_back_is_not_dead_for_lack_of_a_session(store: Store) -> None:
    worker = store.join().worker
    job = store.running(by=worker)
    store.has_session(worker)
    store.rescue(silent={})
    store.passes(seconds=2)

    assert store.rescue(silent={}, spared=[worker]).jobs == []
    assert store.workers()[worker].suspected_at is None
    assert store.rescue(silent={}).jobs == []
    store.passes(seconds=1)
    assert [saved.id for saved in store.rescue(silent={}).jobs] == [job.id]


@needs("sessions")
def test_who_is_spared_is_dead_once_silent_for_too_long(store: Store) -> None:
    worker = store.join().worker
    job = store.running(by=worker)
    store.has_session(worker)

    rescued = store.rescue(silent=beats(store), spared=[worker]).jobs
    assert [saved.id for saved in rescued] == [job.id]


@needs("sessions")
def test_who_speaks_on_a_session_is_seen_to_be_back(store: Store) -> None:
    store.has_session(store.worker)

    assert [each.back for each in store.do(operations.watch())] == [True]


@needs("sessions")
async def test_a_worker_lives_as_long_as_its_session(store: Store) -> None:
    worker = store.join().worker
    job = store.running(by=worker)
    async with a_session(store, worker):
        for _ in range(5):
            store.passes(seconds=5)
            assert store.rescue().jobs == []
        assert store.workers()[worker].suspected_at is None

    def suspected() -> bool:
        store.rescue()
        return store.workers()[worker].suspected_at is not None

    until(suspected)
    store.passes(seconds=1)
    assert [saved.id for saved in store.rescue().jobs] == [job.id]


@needs("sessions")
async def test_a_session_does_not_save_a_frozen_worker(store: Store) -> None:
    worker = store.join().worker
    job = store.running(by=worker)
    async with a_session(store, worker):
        frozen(store)

        assert [saved.id for saved in store.rescue().jobs] == [job.id]


@needs("sessions")
def test_a_worker_that_speaks_again_is_suspected_no_more(store: Store) -> None:
    worker = store.join().worker
    job = store.running(by=worker)
    store.has_session(worker)
    store.rescue()
    store.passes(seconds=0.5)
    store.has_session(worker)
    store.passes(seconds=0.5)

    assert store.rescue().jobs == []
    assert store.complete(job) == {job.id}


@needs("sessions")
async def test_a_session_that_comes_back_in_time_saves_its_worker(store: Store) -> None:
    worker = store.join().worker
    store.has_session(worker)
    store.rescue()
    assert store.workers()[worker].suspected_at == NOON
    session = store.backend.session(lambda topic: None, lambda: None)
    await session.open()
    await session.present(worker)
    store.passes(seconds=1)

    store.rescue()

    assert store.workers()[worker].suspected_at is None
    await session.close()


@needs("sessions")
async def test_two_sessions_cannot_be_the_same_worker(store: Store) -> None:
    second = store.backend.session(lambda topic: None, lambda: None)
    await second.open()
    async with a_session(store, store.worker):
        assert not await second.present(store.worker)
    await second.close()


@needs("sessions")
def test_a_frozen_worker_without_its_session_is_dead_at_the_first_sighting(store: Store) -> None:
    dead = store.join().worker
    store.has_session(dead)
    job = store.running(by=dead)
    frozen(store)

    assert [saved.id for saved in store.rescue().jobs] == [job.id]


def test_a_late_completion_wins_if_it_comes_before_the_rescue(store: Store) -> None:
    job = store.running(by=store.join().worker)
    frozen(store)

    assert store.complete(job) == {job.id}
    assert store.rescue().jobs == []
    assert store.state(job) == State.COMPLETED


@pytest.mark.parametrize("gone", ["completed", "discarded"])
def test_a_rescued_job_may_end_in_any_way(store: Store, gone: str) -> None:
    job = store.running(a_job(max_attempts=1), by=store.join().worker)
    frozen(store)
    store.rescue()
    again = store.take()
    if gone == "completed":
        store.complete(again)
    else:
        assert store.fail(again) == {job.id: State.DISCARDED}

    assert store.state(job) == gone
