"""Acting on many jobs, by a filter, portion by portion."""

from __future__ import annotations

from datetime import timedelta

from pgqueue.backends.plans import carry_out
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import State
from pgqueue.operations import Place, acting
from pgqueue.testing.conformance.store import Store, a_job, ids


def test_a_filter_cancels_what_has_not_ended(store: Store) -> None:
    done, running = store.bring("completed"), store.running()
    waits, mail = store.add(), store.add(a_job(queue="mail"))

    told = store.act(acting.cancelling("sold out", now=store.now), Filter(queue="default"))

    assert told == {running.id: "running", waits: "cancelled"}
    assert store.states(done, mail) == ["completed", "available"]
    assert store.job(waits).reason == "sold out"


def test_only_what_is_in_the_named_state_by_now(store: Store) -> None:
    running, waits = store.running(), store.add()

    assert store.cancel(running, waits, states={State.AVAILABLE}) == {waits: "cancelled"}
    assert not store.job(running).cancel_requested


def test_a_graph_is_cancelled_from_its_end(store: Store) -> None:
    """So each of its jobs counts as cancelled by the request, and not because of its parent."""
    root = store.add()
    last = root
    chain = [root]
    for _ in range(9):
        last = store.add(a_job().after(last))
        chain.append(last)

    place: Place | None = Place()
    told: dict[int, str] = {}
    while place is not None:
        act = acting.cancelling(now=store.now)
        portion = carry_out(acting.portion(act, Filter(), place, limit=2, now=store.now), store.do)
        assert len(portion.answers) <= 2
        told |= portion.answers
        place = portion.rest

    assert told == dict.fromkeys(chain, "cancelled")
    assert {job.reason for job in store.jobs(*chain)} == {"cancelled on request"}


def test_a_filter_retries_the_discarded_in_their_order(store: Store) -> None:
    handles = store.enqueue(*(a_job(max_attempts=1) for _ in range(5)))
    store.discard(*store.claim())
    cancelled = store.bring("cancelled")

    told = store.act(acting.retrying(now=store.now), Filter())

    assert told == {handle.id: "available" for handle in handles}
    assert ids(store.claim()) == [handle.id for handle in handles]
    assert store.state(cancelled) == "cancelled"


def test_what_fails_again_is_not_retried_again(store: Store) -> None:
    """The walk goes on to larger ids: it ends, although what it retries is discarded once more."""
    for _ in range(3):
        store.bring("discarded")
    act, place, rounds = acting.retrying(now=store.now), Place(), 0
    rest: Place | None = place
    while rest is not None:
        portion = carry_out(acting.portion(act, Filter(), rest, limit=1, now=store.now), store.do)
        store.discard(*store.claim())
        rest, rounds = portion.rest, rounds + 1

    assert rounds == 4
    assert len(store.listing(state=State.DISCARDED)) == 3


def test_running_jobs_are_taken_from_their_worker(store: Store) -> None:
    stuck = store.running()
    store.passes(minutes=11)
    young = store.running()

    ten = timedelta(minutes=10)
    told = store.act(acting.releasing(now=store.now), Filter(running_longer_than=ten))

    assert told == {stuck.id: "available"}
    job = store.job(stuck)
    assert (job.attempt, job.lease) == (0, None)
    assert store.complete(stuck) == set()
    assert store.state(young) == "running"
    assert store.take().id == stuck.id


def test_running_jobs_are_taken_by_id_too(store: Store) -> None:
    running, waits = store.running(), store.add()

    assert store.act(acting.releasing(now=store.now), [running.id, waits]) == {
        running.id: "available"
    }


def test_one_that_was_to_be_cancelled_is_cancelled_when_it_is_taken(store: Store) -> None:
    running = store.running()
    store.cancel(running)

    assert store.act(acting.releasing(now=store.now), Filter()) == {running.id: "cancelled"}


def test_many_move_and_keep_their_order(store: Store) -> None:
    handles = store.enqueue(*(a_job() for _ in range(7)))
    act, rest = acting.moving("mail"), Place()
    place: Place | None = rest
    while place is not None:
        portion = carry_out(acting.portion(act, Filter(), place, limit=3, now=store.now), store.do)
        place = portion.rest

    assert ids(store.claim(queue="mail")) == [handle.id for handle in handles]


def test_a_filter_purges_what_has_ended(store: Store) -> None:
    old = [store.bring(state) for state in ("completed", "cancelled", "discarded")]
    store.passes(days=30)
    young, waits = store.bring("completed"), store.add()

    told = store.act(acting.purging(), Filter(older_than=timedelta(days=30)))

    assert told == dict.fromkeys(old, "purged")
    assert [job.id for job in store.listing()] == [waits, young]


def test_how_many_a_filter_means(store: Store) -> None:
    store.enqueue(*(a_job() for _ in range(7)))
    states = (State.AVAILABLE,)

    def count(most: int, enough: bool = False) -> str:
        plan = acting.counting(Filter(), states, most=most, until=lambda: enough)
        return str(carry_out(plan, store.do))

    assert (count(100), count(7), count(5)) == ("7", "≥ 7", "≥ 5")
    assert (count(100, enough=True), count(6, enough=True)) == ("7", "≥ 6")
