"""Counts that can be added, and Prometheus's text of them."""

from __future__ import annotations

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pgqueue.jobs.tally import FIRST, LAST, Figures, Histogram, Series, added
from pgqueue.views.metrics import BOUNDS, text, worker_families


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, 1e-4, 0.7, 1.0, 1.0000001, 59.9, 86400, 1e9])
def test_a_bucket_holds_what_took_no_longer_than_its_bound(seconds: float) -> None:
    histogram = Histogram()
    histogram.add(seconds)
    [(n, count)] = histogram.counts.items()

    assert count == 1
    assert seconds <= 2 ** (n / 2) or n == LAST
    assert seconds > 2 ** ((n - 1) / 2) or n == FIRST


def test_a_quantile_lies_in_the_bucket_of_what_it_is_asked_for() -> None:
    histogram = Histogram()
    assert histogram.quantile(0.5) is None
    for seconds in (0.01, 0.02, 0.03, 1.0, 40.0):
        histogram.add(seconds)

    for share, seconds in ((0.2, 0.01), (0.4, 0.02), (0.6, 0.03), (0.8, 1.0), (1.0, 40.0)):
        found = histogram.quantile(share)
        assert found is not None
        assert seconds / 2**0.5 <= found <= seconds * 2**0.5
    assert histogram.quantile(0.0) == 2 ** (-14 / 2)


def series(queue: str, task: str, *seconds: float, outcome: str = "completed") -> Series:
    made = Series(queue, task)
    for each in seconds:
        made.count(outcome)
        made.ran.add(each)
        made.waited.add(each / 2)
    return made


def test_figures_of_several_processes_are_added() -> None:
    one = Figures([series("q", "a", 1, 2), series("q", "b", 3)], 1, {"q": 2}, 10, 0.5)
    two = Figures([series("q", "a", 4, outcome="retried")], 2, {"q": 1, "r": 1}, 5, 0.1)

    total = added([one, two])

    assert (total.lost, total.running, total.slots, total.lag) == (3, {"q": 3, "r": 1}, 15, 0.5)
    assert [(each.task, each.outcomes, each.ran.seconds) for each in total.series] == [
        ("a", {"completed": 2, "retried": 1}, 7),
        ("b", {"completed": 1}, 3),
    ]
    assert one.series[0].outcomes == {"completed": 2}


def test_figures_go_through_json() -> None:
    figures = Figures([series("q", "a", 0.5, 7)], 1, {"q": 1}, 1, 0.25)

    assert msgspec.json.decode(msgspec.json.encode(figures), type=Figures) == figures


def test_the_text_reads_as_it_was_meant_whatever_a_task_is_called() -> None:
    figures = Figures([series("q", 'a "b"\\\n', 0.001, 0.3, 100_000)], slots=7)
    families = {
        family.name: family
        for family in text_string_to_metric_families(text(worker_families(figures)))
    }

    run = families["pgqueue_job_run_seconds"].samples
    buckets = {sample.labels["le"]: sample.value for sample in run if "le" in sample.labels}
    assert {sample.labels["task"] for sample in run} == {'a "b"\\\n'}
    assert list(map(float, buckets))[:-1] == [2.0**bound for bound in BOUNDS]
    assert (buckets["0.25"], buckets["0.5"], buckets["65536"], buckets["+Inf"]) == (1, 2, 2, 3)
    assert families["pgqueue_worker_slots"].samples[0].value == 7
