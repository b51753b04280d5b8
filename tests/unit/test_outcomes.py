from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pgqueue.jobs.outcomes import OUTCOMES, Cancel, Discard, Retry, Snooze


def test_are_values() -> None:
    assert Snooze(60) == Snooze(timedelta(minutes=1))
    assert Retry(5, "busy") != Retry(5)
    assert len({Cancel("a"), Cancel("a"), Discard("a"), Discard()}) == 3


def test_keep_delays_as_timedeltas() -> None:
    assert Snooze(1.5).delay == timedelta(seconds=1.5)
    assert Retry(2).delay == timedelta(seconds=2)
    assert Retry().delay is None


@pytest.mark.parametrize("delay", [-1, float("nan"), 1e12])
@pytest.mark.parametrize("outcome", [Snooze, Retry])
def test_refuse_delays_that_cannot_be_waited(outcome: Any, delay: float) -> None:
    with pytest.raises(ValueError, match="give"):
        outcome(delay)


def test_are_no_exceptions() -> None:
    assert not any(issubclass(outcome, BaseException) for outcome in OUTCOMES)
