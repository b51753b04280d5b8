"""unique: keys that hold until a job has started, or for a time; what happens to the next job of
its key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.errors import DuplicateJob, InvalidArguments, InvalidJob, JobTooLarge
from pgqueue.jobs.job import Handle, NewJob, State
from pgqueue.jobs.unique import Merge, Unique
from pgqueue.testing.conformance.store import NOON, Store, a_job, ids, needs

STARTED = Unique(key="k", until="started")
REPLACE = Unique(key="k", until="started", conflict="replace")
HOURLY = Unique(key="k", until=3600)
MERGE = Unique(key="k", until="started", conflict=Merge("ids"))
WAITING = ["scheduled", "available", "retryable", "blocked"]


def ruled(rule: Unique = STARTED, task: str = "task", **options: Any) -> NewJob[Any]:
    return a_job(task).options(unique=rule, **options)


def told(*handles: Handle[Any]) -> list[tuple[int, str]]:
    return [(handle.id, handle.outcome) for handle in handles]


# For a time


@pytest.mark.parametrize("state", ["running", "completed", "cancelled", "discarded"])
def test_a_key_holds_for_its_time_whatever_becomes_of_the_job(store: Store, state: str) -> None:
    first = (
        store.running(ruled(HOURLY)) if state == "running" else store.bring(state, ruled(HOURLY))
    )
    id = first if isinstance(first, int) else first.id
    store.passes(minutes=59)
    assert told(*store.enqueue(ruled(HOURLY))) == [(id, "existing")]
    assert store.retry(id) == {id: "running" if state == "running" else "available"}
    assert told(*store.enqueue(ruled(HOURLY))) == [(id, "existing")]
    store.passes(minutes=1)

    [next] = store.enqueue(ruled(HOURLY))
    assert (next.outcome, next.created) == ("created", True)
    assert told(*store.enqueue(ruled(HOURLY))) == [(next.id, "existing")]
    assert store.states(next) == ["available"]


def test_a_time_that_is_over_is_forgotten(store: Store) -> None:
    store.enqueue(ruled(HOURLY), ruled(Unique(key="day", until=timedelta(days=1))))
    store.passes(hours=1)

    assert store.do(operations.forget(now=store.now)) == 1
    assert store.do(operations.forget(now=store.now)) == 0
    [hourly, daily] = store.enqueue(ruled(HOURLY), ruled(Unique(key="day", until=3600)))
    assert (hourly.outcome, daily.outcome) == ("created", "existing")


def test_a_job_without_a_key_goes_round_a_time(store: Store) -> None:
    first = store.add(ruled(HOURLY))
    [second] = store.enqueue(ruled(HOURLY).options(unique=None))

    assert second.created
    assert second.id != first
    assert store.job(first).unique_key is None  # it may be enqueued again while this one lives


def test_many_whose_keys_hold_for_a_time_keep_their_order(store: Store) -> None:
    [old] = store.enqueue(ruled(Unique(key="b", until=60)))
    keys = ["d", "a", "b", "d", "c", "a"]
    batch = [ruled(Unique(key=key, until=60), tags=[key]) for key in keys]
    batch.insert(2, a_job())

    met = store.enqueue(*batch)

    assert [handle.outcome for handle in met] == [
        *("created", "created", "created", "existing", "existing", "created", "existing")
    ]
    d, a, plain, b, d_again, c, a_again = (handle.id for handle in met)
    assert (b, d_again, a_again) == (old.id, d, a)
    assert ids(store.claim(limit=10)) == [old.id, d, a, plain, c]
    assert d < a < plain < c


@needs("transactions")
def test_a_time_is_free_when_its_transaction_is_rolled_back(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.backend.transaction() as executor:
        carry_out(operations.enqueue([ruled(HOURLY)], now=NOON), executor.execute)
        1 / 0  # noqa: B018  # to raise

    assert store.enqueue(ruled(HOURLY))[0].created


# Until it has started


@pytest.mark.parametrize("state", WAITING)
def test_a_job_that_waits_answers(store: Store, state: str) -> None:
    id = store.bring(state, ruled())

    assert told(*store.enqueue(ruled())) == [(id, "existing")]
    assert store.state(id) == state


@pytest.mark.parametrize("ending", ["complete", "discard", "cancel"])
def test_behind_one_that_runs_the_next_waits_for_its_end(store: Store, ending: str) -> None:
    first = store.running(ruled())
    [next] = store.enqueue(ruled())
    assert (next.outcome, next.created, store.state(next)) == ("next", True, State.BLOCKED)
    assert told(*store.enqueue(ruled())) == [(next.id, "existing")]
    assert store.job(next).unique_key == "k"
    assert store.claim() == []

    if ending == "cancel":
        store.fail(first, verdict="cancel")
    else:
        getattr(store, ending)(first)
    second = store.take()
    assert second.id == next.id
    [third] = store.enqueue(ruled())
    assert third.outcome == "next"
    store.complete(second)
    assert store.take().id == third.id


def test_what_is_tried_again_keeps_its_place_before_the_next(store: Store) -> None:
    first = store.running(ruled())
    [next] = store.enqueue(ruled())
    store.fail(first, retry_in=timedelta(minutes=1))

    assert told(*store.enqueue(ruled())) == [(next.id, "existing")]
    store.passes(minutes=1)
    store.promote()
    assert store.work() == ["task", "task"]


def test_a_finished_job_comes_back_only_to_a_free_key(store: Store) -> None:
    first = store.running(ruled())
    [next] = store.enqueue(ruled())
    store.complete(first)
    assert store.retry(first) == {first.id: "held"}
    second = store.take()
    [third] = store.enqueue(ruled())
    assert store.retry(first) == {first.id: "held"}
    store.complete(second)
    store.complete(store.take())
    assert store.retry(next) == {next.id: "available"}
    assert told(*store.enqueue(ruled())) == [(next.id, "existing")]
    assert store.state(third) == State.COMPLETED


def test_the_next_may_be_cancelled_and_another_takes_its_place(store: Store) -> None:
    first = store.running(ruled())
    [next] = store.enqueue(ruled())
    store.cancel(next)
    [other] = store.enqueue(ruled())

    assert other.outcome == "next"
    store.complete(first)
    assert store.take().id == other.id


def test_the_next_waits_for_its_own_parents_too(store: Store) -> None:
    first, parent = store.running(ruled()), store.running()
    [next] = store.enqueue(ruled().after(parent.id))
    assert store.job(next).blocked_by == 2
    store.complete(first)
    assert store.state(next) == State.BLOCKED
    store.complete(parent)
    assert store.take().id == next.id


def test_the_next_may_name_the_running_one_as_its_parent(store: Store) -> None:
    first = store.running(ruled())
    [next] = store.enqueue(ruled().after(first.id))

    assert (next.outcome, store.job(next).blocked_by) == ("next", 1)
    store.complete(first)
    assert store.take().id == next.id


def test_in_one_call_the_first_makes_the_job_and_the_others_meet_it(store: Store) -> None:
    first = store.running(ruled())
    handles = store.enqueue(ruled(task="a"), a_job("plain"), ruled(task="b"), ruled(REPLACE, "c"))

    assert [handle.outcome for handle in handles] == ["next", "created", "existing", "replaced"]
    assert len({handle.id for handle in (handles[0], *handles[2:])}) == 1
    store.complete(first)
    assert sorted(store.work()) == ["c", "plain"]


def test_one_rule_meets_the_jobs_of_another(store: Store) -> None:
    first = store.running(a_job(unique="k"))
    [next] = store.enqueue(ruled())
    [plain] = store.enqueue(a_job(unique="k"))

    assert (next.outcome, plain.outcome) == ("next", "existing")
    assert plain.id == first.id
    store.complete(first)
    assert told(*store.enqueue(a_job(unique="k"))) == [(next.id, "existing")]
    store.take()
    assert told(*store.enqueue(a_job(unique="k"))) == [(next.id, "existing")]


def test_the_queue_may_count(store: Store) -> None:
    rule = Unique(key="k", queue=True, until="started")
    first, other = store.enqueue(ruled(rule), ruled(rule, queue="mail"))
    [again] = store.enqueue(ruled(rule, queue="mail"))

    assert (first.created, other.created) == (True, True)
    assert told(again) == [(other.id, "existing")]


# Conflicts


@pytest.mark.parametrize("until", ["finished", "started", 3600])
def test_a_second_job_may_be_an_error(store: Store, until: Any) -> None:
    rule = Unique(key="k", until=until, conflict="raise")
    [first] = store.enqueue(ruled(rule))

    with pytest.raises(DuplicateJob, match=f"job {first.id} has its key") as error:
        store.enqueue(a_job("other"), ruled(rule))
    assert error.value.id == first.id
    assert len(store.listing()) == 1


@pytest.mark.parametrize("state", WAITING)
def test_a_job_that_waits_is_replaced(store: Store, state: str) -> None:
    id = store.bring(state, ruled(priority=3, tags=["old"], expires=timedelta(hours=9)))
    old = store.job(id)
    new = a_job("other", args='{"n": 2}', metadata='{"by": "me"}').options(
        unique=REPLACE, queue="mail", max_attempts=3, timeout=5, key="tenant", keep=False
    )
    store.passes(minutes=1)
    [handle] = store.enqueue(new)
    job = store.job(id)

    assert (handle.id, handle.outcome, handle.created) == (id, "replaced", False)
    assert (job.task, job.args, job.metadata, job.tags) == ("other", {"n": 2}, {"by": "me"}, ())
    assert (job.queue, job.key, job.priority, job.keep) == ("mail", "tenant", 0, False)
    assert (job.max_attempts, job.timeout_seconds, job.attempt) == (3, 5, 0)
    assert (job.run_at, job.enqueued_at, job.expires_at) == (store.now, old.enqueued_at, None)
    assert job.state == ("blocked" if state == "blocked" else "available")
    assert job.errors == old.errors
    if state != "blocked":
        assert ids(store.claim(queue="mail")) == [id]


def test_what_is_put_off_is_put_off_so_long_at_most(store: Store) -> None:
    rule = Unique(key="k", until="started", conflict="replace", at_most=60)
    [handle] = store.enqueue(ruled(rule, delay=25))
    due = []
    for _ in range(4):
        store.passes(seconds=20)
        store.enqueue(ruled(rule, delay=25))
        due.append((store.job(handle).run_at - NOON).total_seconds())

    assert due == [45, 60, 60, 60]
    assert store.take().id == handle.id


def test_what_is_kept_stays_as_it_was(store: Store) -> None:
    rule = Unique(key="k", until="started", conflict="replace", keep=("run_at", "queue", "tags"))
    [handle] = store.enqueue(ruled(rule, "old", delay=60, queue="mail", tags=["a"]))
    store.enqueue(a_job("new", args='{"n": 2}').options(unique=rule, tags=["b"], priority=1))
    job = store.job(handle)

    assert (job.task, job.args, job.queue, job.tags) == ("new", {"n": 2}, "mail", ("a",))
    assert (job.priority, job.run_at) == (1, NOON + timedelta(seconds=60))
    store.passes(minutes=1)
    store.promote()
    assert store.take(queue="mail").id == handle.id


def test_a_replaced_job_goes_behind_those_that_came_before(store: Store) -> None:
    store.enqueue(ruled(REPLACE, "old"), a_job("plain"))
    store.enqueue(ruled(REPLACE, "new"))

    assert store.work() == ["plain", "new"]


def test_of_one_call_it_has_its_place_among_the_others(store: Store) -> None:
    [earlier] = store.enqueue(ruled(REPLACE))
    before, _, after = store.enqueue(a_job(), ruled(REPLACE), a_job())
    assert ids(store.claim()) == [before.id, earlier.id, after.id]

    first, again, last = store.enqueue(*(ruled(REPLACE) for _ in range(2)), a_job())
    assert told(first, again) == [(first.id, "next"), (first.id, "replaced")]
    assert ids(store.claim()) == [last.id]  # that one waits behind the one that runs


def test_who_waits_for_a_job_that_is_gone_while_its_time_holds_may_start(store: Store) -> None:
    [gone] = store.enqueue(ruled(HOURLY))
    store.do(operations.cancel([gone.id], now=store.now))
    store.do(operations.purge([gone.id]))
    again = ruled(HOURLY)
    answer, child = store.enqueue(again, a_job().after(again))

    assert told(answer) == [(gone.id, "existing")]
    assert ids(store.claim()) == [child.id]


def test_lists_are_merged_and_the_rest_is_the_newest(store: Store) -> None:
    def merged(args: str) -> Any:
        [handle] = store.enqueue(a_job(args=args).options(unique=MERGE))
        return store.job(handle).args

    assert merged('{"ids": [1, [2]], "by": "a"}') == {"ids": [1, [2]], "by": "a"}
    assert merged('{"ids": ["]\\"}"], "by": "b"}') == {"ids": [1, [2], ']"}'], "by": "b"}
    assert merged('{"by": {"ids": [0]}, "ids": []}') == {
        "ids": [1, [2], ']"}'],
        "by": {"ids": [0]},
    }
    assert merged('{"by": null}')["ids"] == [1, [2], ']"}']
    assert merged("{}")["ids"] == [1, [2], ']"}']
    assert merged('{"ids": [9007199254740993]}')["ids"] == [1, [2], ']"}', 9007199254740993]


def test_a_merge_that_is_too_large_changes_nothing(store: Store) -> None:
    large = f'{{"ids": ["{"x" * 600_000}"]}}'
    [handle] = store.enqueue(a_job(args=large).options(unique=MERGE))
    with pytest.raises(JobTooLarge, match=f"merged with those of job {handle.id}"):
        store.enqueue(a_job(), a_job(args=large).options(unique=MERGE))

    assert len(store.listing()) == 1
    assert len(store.job(handle).args["ids"]) == 1


def test_what_may_replace_has_no_parents_and_merges_lists(store: Store) -> None:
    parent = store.add()
    with pytest.raises(InvalidJob, match="it may replace a job"):
        store.enqueue(ruled(REPLACE).after(parent))
    with pytest.raises(InvalidArguments, match="ids: Merge puts lists together"):
        store.enqueue(a_job(args='{"ids": 7}').options(unique=MERGE))
    assert len(store.listing()) == 1


def test_a_job_is_due_from_when_it_first_was(store: Store) -> None:
    job = store.running()
    store.passes(minutes=1)
    store.release(job, delay=timedelta(minutes=1), unknown=True)

    assert (store.job(job).run_at, store.job(job).due_at) == (NOON + timedelta(minutes=2), NOON)
    later = store.job(store.add(a_job(delay=timedelta(hours=1))))
    assert later.due_at == later.run_at
