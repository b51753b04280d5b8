"""get, result, list, count, throughput, queues, workers, version: read only, bounded."""

from __future__ import annotations

from datetime import timedelta

from pgqueue.jobs.job import State
from pgqueue.operations import inspections
from pgqueue.testing.conformance.store import NOON, Store, a_job, read

HOUR = timedelta(hours=1)


def one_of_each(store: Store) -> dict[str, int]:
    """Enqueue a job for every state, and return the ids by state, in the order of enqueueing."""
    states = ["completed", "discarded", "cancelled", "retryable", "running"]
    states += ["scheduled", "available"]
    jobs = {state: store.bring(state, a_job(f"is-{state}")) for state in states}
    return jobs | {"blocked": store.add(a_job("is-blocked").after(jobs["running"]))}


# get


def test_gets_jobs_of_every_state_by_id(store: Store) -> None:
    jobs = one_of_each(store)

    assert store.states(*jobs.values()) == list(jobs)
    assert [job.id for job in store.jobs(*jobs.values())] == list(jobs.values())
    assert [job.finished for job in store.jobs(*jobs.values())] == [True] * 3 + [False] * 5


def test_gets_only_what_exists(store: Store) -> None:
    id = store.add()

    found = store.do(inspections.get([id, 424242]))
    assert set(found) == {id}
    found = store.do(inspections.get([]))
    assert found == {}


# result


def test_says_how_a_job_ended(store: Store) -> None:
    done = store.running(a_job("add"))
    store.complete(done, result='{"sum": 3}')
    jobs = one_of_each(store)

    def ending(id: int) -> inspections.JobEnd | None:
        return store.do(inspections.result(id))

    assert (told := ending(done.id)) is not None
    assert told == inspections.JobEnd("add", State.COMPLETED, told.result, None, None)
    assert read(told.result) == {"sum": 3}
    for state, id in jobs.items():
        assert (told := ending(id)) is not None
        assert (told.task, told.state, told.result) == (f"is-{state}", state, None)
    assert ending(424242) is None


def test_says_why_a_job_ended_and_how_its_last_attempt_failed(store: Store) -> None:
    job = store.running(a_job("add", max_attempts=2))
    store.fail(job, error='{"type": "First", "message": "1"}')
    store.fail(store.take(), error='{"type": "Last", "message": "2"}', reason="enough")

    ending = store.do(inspections.result(job.id))

    assert ending is not None
    assert (ending.state, ending.reason, ending.result) == (State.DISCARDED, "enough", None)
    assert ending.error is not None
    assert '"Last"' in ending.error
    assert '"First"' not in ending.error


# list


def test_lists_the_newest_first(store: Store) -> None:
    jobs = one_of_each(store)

    assert [job.id for job in store.listing()] == sorted(jobs.values(), reverse=True)


def test_lists_one_state(store: Store) -> None:
    for state, id in one_of_each(store).items():
        assert [job.id for job in store.listing(state=State(state))] == [id]


def test_lists_one_queue_task_or_tag(store: Store) -> None:
    store.enqueue(
        a_job("greet", queue="mail", tags=("eu", "vip")),
        a_job("greet", tags=("eu",)),
        a_job("part", queue="mail", tags=("e_",)),
    )

    def tasks(**filters: str) -> list[tuple[str, str]]:
        return [(job.task, job.queue) for job in store.listing(**filters)]

    assert tasks(queue="mail") == [("part", "mail"), ("greet", "mail")]
    assert tasks(task="greet") == [("greet", "default"), ("greet", "mail")]
    assert tasks(tag="eu") == [("greet", "default"), ("greet", "mail")]
    assert tasks(tag="vip", queue="mail", task="greet") == [("greet", "mail")]
    assert tasks(tag="e_") == [("part", "mail")]
    assert tasks(tag="u") == tasks(queue="MAIL") == tasks(task="gree_") == []


def test_lists_finished_jobs_by_tag_too(store: Store) -> None:
    job = store.running(a_job(tags=("eu",)))
    store.complete(job)

    assert [listed.id for listed in store.listing(tag="eu")] == [job.id]


def test_lists_a_page_at_a_time(store: Store) -> None:
    ids = [handle.id for handle in store.enqueue(*(a_job() for _ in range(10)))]
    store.complete(*store.claim(6))
    seen: list[int] = []
    while page := store.listing(limit=3, before=seen[-1] if seen else None):
        assert len(page) <= 3
        seen += [job.id for job in page]

    assert seen == ids[::-1]


def test_a_job_is_listed_once_whatever_happens_to_it(store: Store) -> None:
    job = store.running()
    store.complete(job)
    store.retry(job)
    store.discard(store.take())
    store.retry(job)

    assert [(listed.id, listed.state) for listed in store.listing()] == [(job.id, "available")]


# count


def test_counts_live_jobs_by_queue_and_state(store: Store) -> None:
    one_of_each(store)
    store.enqueue(a_job(queue="mail"), a_job(queue="mail"))

    counts = store.do(inspections.count())

    assert counts.exact
    assert [(count.queue, count.state, count.count) for count in counts.counts] == [
        ("default", "available", 1),
        ("default", "blocked", 1),
        ("default", "retryable", 1),
        ("default", "running", 1),
        ("default", "scheduled", 1),
        ("mail", "available", 2),
    ]


def test_counts_nothing_in_an_empty_store(store: Store) -> None:
    assert store.do(inspections.count()) == inspections.Counts([], exact=True)


def test_a_count_stops_at_its_limit_and_says_so(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(20)))

    counts = store.do(inspections.count(limit=10))

    assert (counts.exact, sum(count.count for count in counts.counts)) == (False, 10)


def test_a_large_queue_does_not_hide_the_others(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(20)))
    blocked = a_job(queue="blocked").after(store.running(a_job(queue="runs")).id)
    late = a_job(queue="late", delay=HOUR)
    store.enqueue(a_job(queue="mail", key="k"), a_job(queue="mail", priority=9), blocked, late)

    counts = store.do(inspections.count(limit=10)).counts

    assert [(c.queue, c.state, c.count, c.exact) for c in counts if c.state != "running"] == [
        ("blocked", "blocked", 1, True),
        ("default", "available", 10, False),
        ("late", "scheduled", 1, True),
        ("mail", "available", 2, True),
    ]


def test_a_count_says_how_long_the_first_has_been_due(store: Store) -> None:
    store.now = None
    store.add()
    ahead = store.add(a_job(queue="ahead", delay=HOUR))

    due, scheduled = sorted(store.do(inspections.count()).counts, key=lambda count: count.state)

    assert timedelta(0) <= due.oldest < timedelta(minutes=1)
    assert -HOUR <= scheduled.oldest < -HOUR + timedelta(minutes=1)
    store.cancel(ahead)


def lateness(store: Store) -> timedelta:
    [count] = store.do(inspections.count(now=store.now)).counts
    return count.late


def test_a_job_that_nobody_knows_is_late_from_when_it_was_due_first(store: Store) -> None:
    store.add()
    for _ in range(3):
        store.release(store.take(), delay=HOUR, unknown=True)
        store.passes(hours=1)
        store.promote()
    assert lateness(store) == 3 * HOUR

    store.release(store.take(), delay=HOUR, unknown=True)
    assert lateness(store) == 3 * HOUR

    store.passes(hours=1)
    store.promote()
    store.release(store.take())
    assert lateness(store) == 4 * HOUR


def test_a_job_that_ran_after_all_is_late_from_its_next_attempt(store: Store) -> None:
    job = store.add()
    store.release(store.take(), delay=HOUR, unknown=True)
    store.retry(job)
    store.fail(store.take(), retry_in=HOUR)
    assert lateness(store) == -HOUR

    store.retry(job)
    store.release(store.take(), delay=HOUR, unknown=True)
    store.retry(job)
    store.release(store.take(), delay=HOUR)
    assert lateness(store) == -HOUR


def test_a_job_that_comes_back_from_its_end_is_not_late_yet(store: Store) -> None:
    job = store.add()
    store.release(store.take(), delay=HOUR, unknown=True)
    store.passes(hours=2)
    store.cancel(job)
    store.retry(job)

    assert lateness(store) == timedelta(0)


# throughput


def test_shows_what_finished_lately_and_how_long_it_took(store: Store) -> None:
    store.now = None
    store.complete(store.running(), store.running())
    store.discard(store.running())

    seen = {row.state: row for row in store.do(inspections.throughput())}

    assert {state: row.count for state, row in seen.items()} == {"completed": 2, "discarded": 1}
    for row in seen.values():
        assert row.waited_p50 is not None
        assert row.ran_p99 is not None
        assert timedelta(0) <= row.waited_p50 < timedelta(minutes=1)
        assert timedelta(0) <= row.ran_p99 < timedelta(minutes=1)


def test_what_finished_long_ago_is_not_throughput(store: Store) -> None:
    store.now = NOON - timedelta(days=20_000)
    store.complete(store.running())

    assert store.do(inspections.throughput()) == []


def test_a_job_that_never_ran_has_no_durations(store: Store) -> None:
    store.now = None
    store.cancel(store.add())

    [row] = store.do(inspections.throughput())
    assert (row.state, row.count, row.waited_p50, row.ran_p50) == ("cancelled", 1, None, None)


def test_a_job_that_ends_between_two_attempts_has_no_durations(store: Store) -> None:
    store.now = None
    job = store.running()
    store.release(job, delay=timedelta(hours=1))
    store.cancel(job)

    [row] = store.do(inspections.throughput())
    assert (row.state, row.count, row.waited_p50, row.ran_p50) == ("cancelled", 1, None, None)


# queues, workers, version


def test_shows_queues_that_have_jobs_a_worker_or_a_setting(store: Store) -> None:
    worker = store.join(queues=["served", "mail"]).worker
    store.join(queues=["mail"])
    store.enqueue(*(a_job(queue=queue) for queue in ("waiting", "mail", "waiting", "a")))
    store.pause("paused")

    queues = {queue.name: queue for queue in store.do(inspections.queues())}

    assert list(queues) == ["a", "default", "mail", "paused", "served", "waiting"]
    assert [queue.workers for queue in queues.values()] == [0, 1, 2, 0, 1, 0]
    assert [name for name, queue in queues.items() if queue.paused_at] == ["paused"]
    store.leave(worker)
    assert "served" not in {queue.name for queue in store.do(inspections.queues())}


def test_shows_a_queue_whose_jobs_all_run(store: Store) -> None:
    store.running(a_job(queue="busy"))

    assert "busy" in {queue.name for queue in store.do(inspections.queues())}


def test_shows_workers_in_the_order_in_which_they_joined(store: Store) -> None:
    later = [
        store.join(name=name, started_at=NOON + timedelta(seconds=n)).worker
        for n, name in enumerate(("b", "a"), start=1)
    ]

    workers = store.workers()

    assert list(workers) == [store.worker, *later]
    assert [worker.name for worker in workers.values()] == ["test", "b", "a"]


def test_says_which_schema_it_has(store: Store) -> None:
    version = store.do(inspections.version())

    assert version is not None
    assert version >= "0001"
