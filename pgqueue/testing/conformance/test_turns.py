"""Keys in turn: a quantum each, and nobody waits for longer than a round."""

from __future__ import annotations

from collections import Counter

from pgqueue import operations
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import KeyLimits
from pgqueue.operations import Terms
from pgqueue.testing.conformance.keyed import fill, keys_of
from pgqueue.testing.conformance.store import Store, a_job, ids, needs


def running(store: Store) -> Counter[str]:
    return Counter(job.key or "" for job in store.listing(state=State.RUNNING, limit=1000))


# Fair turns


@needs("limits")
def test_keys_have_their_turns_a_quantum_each(store: Store) -> None:
    fill(store, "abc", 5)

    one = store.turn(4, quantum=2)
    two = store.turn(4, quantum=2, after=one.after)
    three = store.turn(4, quantum=2, after=two.after)

    assert (keys_of(one), keys_of(two), keys_of(three)) == ("aabb", "ccaa", "bbcc")
    assert one.more
    assert one.keyed
    assert not one.limited


@needs("limits")
def test_jobs_without_a_key_are_one_key(store: Store) -> None:
    fill(store, " a", 3)

    assert keys_of(store.turn(2, quantum=1)) == "a "
    assert keys_of(store.turn(2, quantum=1, after="a")) == " a"


@needs("limits")
def test_priority_orders_the_jobs_of_a_key(store: Store) -> None:
    late, soon = store.enqueue(a_job(key="a", priority=1), a_job(key="a", priority=-1))
    [middle] = store.enqueue(a_job(key="a"))

    assert ids(store.turn().jobs) == [soon.id, middle.id, late.id]


@needs("limits")
def test_what_nobody_else_wants_goes_to_those_who_have_more(store: Store) -> None:
    fill(store, "a", 30)
    fill(store, "b", 2)

    turn = store.turn(20, quantum=2)

    assert running(store) == {"a": 10, "b": 2}
    assert keys_of(store.turn(100, quantum=2, after=turn.after)) == "a" * 20


@needs("limits")
def test_what_nobody_else_wants_is_shared_as_far_as_the_queue_allows(store: Store) -> None:
    fill(store, "abc", 20)
    store.limit(concurrency=9)

    assert keys_of(store.turn(100, quantum=2)) == "aaabbbccc"


@needs("limits")
def test_a_turn_that_begins_between_two_keys_comes_round_to_them(store: Store) -> None:
    fill(store, " abc", 2)
    store.limit(key_concurrency=1)

    turn = store.turn(100, after="b")

    assert (keys_of(turn), turn.after, turn.more) == ("c  ab", "b", False)


@needs("limits")
def test_a_lone_key_has_all_there_is_room_for(store: Store) -> None:
    fill(store, " ", 30)

    assert len(store.turn(20, quantum=2).jobs) == 20


@needs("limits")
def test_a_weight_is_so_many_quanta(store: Store) -> None:
    fill(store, "ab", 10)
    store.do(operations.limit_key("default", "b", KeyLimits(weight=3)))

    assert keys_of(store.turn(8, quantum=2)) == "aabbbbbb"


@needs("limits")
def test_a_million_of_one_key_delay_another_by_a_round(store: Store) -> None:
    fill(store, "a", 50)
    turn = store.turn(10)
    store.add(a_job(key="b"))

    assert "b" in keys_of(store.turn(10, after=turn.after))


@needs("limits")
def test_looking_at_keys_is_bounded_and_goes_on_where_it_ended(store: Store) -> None:
    fill(store, "abcde")
    store.limit(key_concurrency=1)
    claimed = store.turn().jobs
    assert keys_of(claimed) == "abcde"
    fill(store, "abcde")
    store.complete(*(job for job in claimed if job.key == "e"))

    one = store.turn(steps=2)
    two = store.turn(steps=2, after=one.after)
    three = store.turn(steps=2, after=two.after)

    assert [(keys_of(t), t.more) for t in (one, two, three)] == [
        ("", True),
        ("", True),
        ("e", True),
    ]


@needs("limits")
def test_full_keys_are_passed_over_wherever_the_turn_begins(store: Store) -> None:
    """Full keys with many waiting jobs, too, and when many others are full before and after."""
    full = [f"k{n:03}" for n in range(150)]
    store.limit(key_concurrency=1)
    store.enqueue(*(a_job(key=key) for key in full))
    assert len(store.turn(200, quantum=1).jobs) == 150
    store.enqueue(*(a_job(key=key) for key in full))
    store.enqueue(*(a_job(key=full[75]) for _ in range(100)))

    for after in ("", "k0", "k074", "k075", "k099", "k100-5", "k149", "z"):
        free = [f"k020-{after}", f"k100-{after}"]
        store.enqueue(*(a_job(key=key) for key in free))
        turn = store.turn(10, after=after)
        rest = store.turn(10, after=turn.after)

        first, last = sorted(free, key=lambda key: (key <= after, key))
        assert [job.key for job in turn.jobs] == [first, last]
        assert (turn.more, rest.jobs, rest.more) == (False, [], False)


@needs("limits")
def test_a_plain_claim_takes_keys_where_there_are_no_limits(store: Store) -> None:
    fill(store, " ab", 2)

    assert sorted(keys_of(store.claim())) == [" ", " ", "a", "a", "b", "b"]


@needs("limits")
def test_a_plain_claim_takes_nothing_where_there_are_limits(store: Store) -> None:
    fill(store, " a", 2)
    assert store.do(operations.turns(["default", "mail"])) == {}
    store.limit(concurrency=1)

    assert store.claim() == []
    assert store.do(operations.turns(["default", "mail"])) == {"default": Terms(True)}
    assert len(store.turn().jobs) == 1


@needs("limits")
def test_a_paused_queue_gives_nothing_in_turn(store: Store) -> None:
    fill(store, "a")
    store.pause()

    turn = store.turn()

    assert (turn.jobs, turn.more, turn.contended) == ([], False, False)
    store.resume()
    assert keys_of(store.turn()) == "a"
