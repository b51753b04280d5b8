"""The Meter: what it counts of a job whose attempts overtake the store's answers."""

from __future__ import annotations

from typing import Any, cast

from pgqueue.jobs.job import State
from pgqueue.operations import ClaimedJob, Failed
from pgqueue.worker.running.run import Run
from pgqueue.worker.telemetry.meter import Meter


def attempt(lease: int) -> Run:
    job = ClaimedJob(
        *(7, 0, 1, lease, "noop", "{}", 2, None, 0.0, 0),
        *(None, None, None, None, "default", "", None, lease),
    )
    return Run(job, cast(Any, None), 0, started_at=1.0)


def test_an_attempt_counts_whose_answer_comes_after_the_end_of_the_next_one() -> None:
    """A worker claims by another connection than the one on which it sends what ended."""
    meter = Meter(object(), 1, lambda: 0.0, list)
    first, second = Failed(7, 1, "retry"), Failed(7, 2, "discard")

    meter.ends(attempt(1))
    meter.ends(attempt(2))
    meter.confirmed([first], cast(Any, {first.held: State.AVAILABLE}))
    meter.confirmed([second], cast(Any, {second.held: State.DISCARDED}))

    [series] = meter.figures().series
    assert {name: n for name, n in series.outcomes.items() if n} == {"retried": 1, "discarded": 1}
    assert sum(series.ran.counts.values()) == 2
