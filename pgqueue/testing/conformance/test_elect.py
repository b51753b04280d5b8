"""elect and resign: at most one leader."""

from __future__ import annotations

from pgqueue import operations
from pgqueue.operations import Leadership
from pgqueue.testing.conformance.store import Store, a_session, needs, until


def test_the_first_who_asks_leads(store: Store) -> None:
    assert store.elect(store.worker) == Leadership(True, store.worker, workers=1)


def test_a_second_one_learns_who_leads(store: Store) -> None:
    other = store.join().worker
    store.elect(store.worker)

    assert store.elect(other) == Leadership(False, store.worker, workers=2)


def test_one_leads_among_many(store: Store) -> None:
    candidates = [store.join().worker for _ in range(5)]
    for _ in range(3):
        votes = [store.elect(worker) for worker in candidates]
        assert [vote.elected for vote in votes] == [True, False, False, False, False]
        assert {vote.worker for vote in votes} == {candidates[0]}
        store.passes(seconds=10)


def test_a_leader_that_asks_in_time_stays(store: Store) -> None:
    other = store.join().worker
    store.elect(store.worker, term=30)
    for _ in range(4):
        store.passes(seconds=29)
        assert store.elect(store.worker, term=30).elected
        assert not store.elect(other).elected


def test_the_term_ends(store: Store) -> None:
    other = store.join().worker
    store.elect(store.worker, term=30)
    store.passes(seconds=29.9)
    assert not store.elect(other).elected

    store.passes(seconds=0.1)

    assert store.elect(other) == Leadership(True, other, workers=2)
    assert store.elect(store.worker) == Leadership(False, other, workers=2)


def test_a_late_leader_stays_when_nobody_else_asked(store: Store) -> None:
    store.elect(store.worker, term=30)
    store.passes(minutes=5)

    assert store.elect(store.worker).elected


def test_after_resigning_the_next_one_leads_at_once(store: Store) -> None:
    other = store.join().worker
    store.elect(store.worker)
    store.resign(store.worker)

    assert store.elect(other).elected
    assert store.elect(store.worker) == Leadership(False, other, workers=2)


def test_only_the_leader_can_resign(store: Store) -> None:
    other = store.join().worker
    store.elect(store.worker)
    store.resign(other)

    assert store.elect(other) == Leadership(False, store.worker, workers=2)


def test_offices_are_independent(store: Store) -> None:
    other = store.join().worker
    store.elect(store.worker, name="pruner")

    assert store.elect(other, name="cron").elected
    assert not store.elect(other, name="pruner").elected
    store.resign(other, name="pruner")
    assert store.elect(store.worker, name="pruner").elected


def test_shows_who_leads(store: Store) -> None:
    store.now = None
    other = store.join().worker
    store.elect(store.worker)

    assert {id: worker.leads for id, worker in store.workers().items()} == {
        store.worker: True,
        other: False,
    }


@needs("sessions")
async def test_a_leader_whose_session_is_dead_is_replaced_at_once(store: Store) -> None:
    leader, other = store.join().worker, store.join().worker
    async with a_session(store, leader):
        store.elect(leader, term=3600)
        assert not store.elect(other).elected
    store.passes(seconds=1)

    until(lambda: store.elect(other).elected)
    assert store.elect(leader) == Leadership(False, other, workers=3)


def test_a_candidate_that_does_not_win_changes_nothing(store: Store) -> None:
    other = store.join().worker
    store.elect(store.worker, term=30)
    store.passes(seconds=20)
    store.elect(other, term=3600)
    store.passes(seconds=10)

    assert store.elect(other, term=30).elected
    store.passes(seconds=30)
    assert store.elect(store.worker).elected


def test_says_of_how_many(store: Store) -> None:
    others = [store.join().worker for _ in range(3)]

    assert store.elect(store.worker).workers == 4
    store.do(operations.leave(others[0]))
    assert store.elect(others[1]) == Leadership(False, store.worker, workers=3)


def test_a_leader_that_spoke_last_in_the_future_does_not_lead(store: Store) -> None:
    """The clock was ten minutes ahead, the leader died, and the clock was set right."""
    leader, other = store.join().worker, store.join().worker
    store.passes(minutes=10)
    store.heartbeat(by=leader)
    assert store.elect(leader, term=15).elected
    store.passes(minutes=-10)

    assert store.elect(other, term=15).elected
