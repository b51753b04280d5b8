"""What a broker says of messages in flight is what becomes of each, in whatever order it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgqueue.bridges import Again, Delivered, Message, Returned
from pgqueue.bridges.amqp_lines import _Flight

FIRST = 11


def flight(number: int) -> _Flight:
    return _Flight([Message(id=f"m{n}", body=b"") for n in range(number)], FIRST)


async def test_a_confirm_of_many_leaves_none_out_and_a_later_one_counts_none_twice() -> None:
    flying = flight(5)

    flying.confirmed(FIRST + 1, False, True)
    flying.confirmed(FIRST + 2, True, True)
    flying.confirmed(FIRST + 1, True, True)
    assert [flying.told(n) for n in range(5)] == [Delivered()] * 3 + [None] * 2
    assert not flying.ended.done()
    flying.confirmed(FIRST + 4, True, False)

    assert flying.ended.done()
    assert all(type(flying.told(n)) is Again for n in (3, 4))


async def test_what_was_returned_is_not_sent_though_the_broker_confirms_it() -> None:
    flying = flight(3)

    flying.returned("312 NO_ROUTE", "m1")
    flying.returned("312 NO_ROUTE", "of somebody else")
    assert flying.told(1) is None  # its confirm is still to come
    flying.confirmed(FIRST + 2, True, True)

    assert [type(flying.told(n)) for n in range(3)] == [Delivered, Returned, Delivered]


async def test_what_is_returned_after_its_confirm_is_not_sent_either() -> None:
    """RabbitMQ returns first, and says so; of other brokers nobody knows."""
    flying = flight(3)

    flying.confirmed(FIRST + 1, True, True)
    flying.returned("312 NO_ROUTE", "m1")
    flying.confirmed(FIRST + 2, False, True)

    assert [type(flying.told(n)) for n in range(3)] == [Delivered, Returned, Delivered]


async def test_a_confirm_of_what_was_given_up_is_not_taken_for_one_of_these() -> None:
    flying = flight(2)

    for tag in (FIRST - 1, 0, FIRST + 2):
        for multiple in (False, True):
            flying.confirmed(tag, multiple, True)

    assert [flying.told(n) for n in range(2)] == [None, None]
    assert not flying.ended.done()


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=30))
async def test_each_is_what_was_said_of_it_first(said: list[tuple[int, bool, bool]]) -> None:
    flying = flight(10)
    expected: dict[int, bool] = {}

    for last, multiple, taken in said:
        flying.confirmed(FIRST + last, multiple, taken)
        for n in range(0 if multiple else last, last + 1):
            expected.setdefault(n, taken)

    told = {n: type(answer) is Delivered for n in range(10) if (answer := flying.told(n))}
    assert told == expected
    assert flying.ended.done() == (len(expected) == 10)
