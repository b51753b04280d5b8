from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.jobs.retries import (
    DEFAULT,
    ByException,
    Constant,
    Exponential,
    Linear,
    Never,
    Policy,
    policy,
)

ERROR = ValueError("no")


def waits(chosen: Policy, attempts: int = 5, error: BaseException = ERROR) -> list[float | None]:
    delays = [chosen.delay(attempt, error) for attempt in range(1, attempts + 1)]
    return [None if delay is None else delay.total_seconds() for delay in delays]


def test_exponential_grows_up_to_its_cap() -> None:
    assert waits(Exponential(base=2, factor=3, cap=30, jitter=0)) == [2, 6, 18, 30, 30]


def test_linear_grows_by_its_step_up_to_its_cap() -> None:
    assert waits(Linear(timedelta(seconds=10), cap=25, jitter=0), 4) == [10, 20, 25, 25]


def test_constant_stays() -> None:
    assert waits(Constant(7)) == [7] * 5


def test_never_says_so() -> None:
    assert waits(Never(), 1) == [None]


def test_jitter_only_shortens_and_can_be_repeated() -> None:
    def spread() -> list[float | None]:
        return waits(Exponential(base=10, factor=1, jitter=0.5, rng=random.Random(7).random), 50)

    seconds = [s for s in spread() if s is not None]
    assert len(set(seconds)) == 50
    assert all(5 <= s <= 10 for s in seconds)
    assert spread() == spread()


def test_the_default_outlives_a_night() -> None:
    total = sum(s or 0 for s in waits(Exponential(jitter=0), 9))
    assert timedelta(hours=8).total_seconds() < total < timedelta(hours=9).total_seconds()
    assert policy(None) is DEFAULT


@given(st.integers(1, 32767), st.floats(1, 1e300), st.floats(0, 1e6))
def test_no_attempt_is_too_late_to_count(attempt: int, factor: float, base: float) -> None:
    cap = timedelta(hours=1)
    delay = Exponential(base=base, factor=factor, cap=cap).delay(attempt, ERROR)
    assert timedelta(0) <= delay <= cap


def test_chooses_by_the_nearest_class_of_the_error() -> None:
    chosen = ByException({OSError: 1, ConnectionError: 2, ValueError: Never()}, otherwise=9)
    assert waits(chosen, 1, FileNotFoundError()) == [1]
    assert waits(chosen, 1, ConnectionResetError()) == [2]
    assert waits(chosen, 1, UnicodeError()) == [None]
    assert waits(chosen, 1, KeyError()) == [9]


def test_takes_a_function() -> None:
    def decide(attempt: int, error: BaseException) -> float | timedelta | None:
        if isinstance(error, KeyError):
            return None
        return timedelta(seconds=5) if attempt == 1 else attempt * 2

    assert waits(policy(decide), 2) == [5, 4]
    assert waits(policy(decide), 1, KeyError()) == [None]
    with pytest.raises(ValueError, match="negative"):
        policy(lambda attempt, error: -1).delay(1, ERROR)


def test_takes_a_duration() -> None:
    assert waits(policy(5), 1) == waits(policy(timedelta(seconds=5)), 1) == [5]


def test_takes_a_wait_of_tenacity() -> None:
    assert waits(policy(tenacity.wait_exponential(multiplier=1, max=5)), 4) == [1, 2, 4, 5]
    assert waits(policy(tenacity.wait_fixed(3) + tenacity.wait_fixed(1)), 1) == [4]
    seen: list[Any] = []

    class Looks(tenacity.wait.wait_base):
        def __call__(self, retry_state: tenacity.RetryCallState) -> float:
            assert retry_state.outcome is not None
            seen.append(retry_state.outcome.exception())
            return 1

    assert waits(policy(Looks()), 1) == [1]
    assert seen == [ERROR]


def test_takes_any_object_with_a_delay() -> None:
    class Odd:
        def delay(self, attempt: int, error: BaseException) -> timedelta | None:
            return timedelta(seconds=1) if attempt % 2 else None

    assert waits(policy(Odd()), 2) == [1, None]


@pytest.mark.parametrize("wrong", ["soon", True, Never, object()])
def test_refuses_what_is_no_policy(wrong: Any) -> None:
    with pytest.raises(TypeError, match="give"):
        policy(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Exponential(base=-1),
        lambda: Exponential(factor=0.5),
        lambda: Exponential(factor=float("nan")),
        lambda: Exponential(jitter=1.1),
        lambda: Linear(1, jitter=-0.1),
        lambda: Constant(float("inf")),
    ],
)
def test_refuses_numbers_that_make_no_sense(wrong: Any) -> None:
    with pytest.raises(ValueError, match="give"):
        wrong()


def test_policies_are_values() -> None:
    assert Exponential(base=2) == Exponential(base=timedelta(seconds=2))
    assert "base" in repr(Exponential())
    assert "Never" in repr(ByException({ValueError: Never()}))
