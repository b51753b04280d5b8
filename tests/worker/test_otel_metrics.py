"""What OpenTelemetry's readers collect is what Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from pgqueue.contrib.otel import PgqueueInstrumentor
from pgqueue.jobs.tally import Bridge, Histogram, Incoming, Outgoing
from pgqueue.worker.telemetry.meter import Meter, meters


class Read:
    """A reader, and its provider."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])

    def points(self) -> dict[tuple[str, ...], float]:
        """Values by the metric's name and its attributes' values."""
        told = self.reader.get_metrics_data()
        if told is None:
            return {}
        found: dict[tuple[str, ...], float] = {}
        for resource in told.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        assert isinstance(point, NumberDataPoint)
                        values = sorted(map(str, (point.attributes or {}).values()))
                        assert (metric.name, *values) not in found
                        found[metric.name, *values] = point.value
        return found


@pytest.fixture
def read() -> Iterator[Read]:
    meters.clear()  # of workers that have ended, in other tests
    read = Read()
    PgqueueInstrumentor().instrument(meter_provider=read.provider)
    yield read
    PgqueueInstrumentor().uninstrument()


def meter_of(*bridges: Bridge) -> Meter:
    return Meter(object(), 7, lambda: 0.5, list, lambda: list(bridges))


def test_outlets_and_inlets_are_told_with_all_their_answers(read: Read) -> None:
    answered = Histogram()
    answered.add(0.25, 2)
    outlet = Bridge("orders", away=4.0, out=Outgoing(3, 1, {"confirmed": 2}, answered))
    inlet = Bridge("payments", True, paused=True, into=Incoming(5, 4, 3, 2, 1))
    both = [meter_of(outlet, inlet), meter_of(outlet)]

    found = read.points()

    assert found["pgqueue.outlet_sent", "orders"] == 6
    assert found["pgqueue.outlet_answers", "confirmed", "orders"] == 4
    assert found["pgqueue.outlet_answers", "orders", "returned"] == 0
    assert found["pgqueue.outlet_in_flight", "orders"] == 2
    assert found["pgqueue.outlet_answer_seconds_count", "orders"] == 4
    assert found["pgqueue.outlet_answer_seconds_sum", "orders"] == 1
    assert found["pgqueue.bridge_away_seconds", "orders", "outlet"] == 4
    assert found["pgqueue.bridge_away_seconds", "inlet", "payments"] == 0
    assert found["pgqueue.inlet_paused", "payments"] == 1
    assert {
        what: found[f"pgqueue.inlet_{what}", "payments"]
        for what in ("received", "taken", "unnamed", "duplicates", "poison")
    } == {"received": 5, "taken": 4, "unnamed": 3, "duplicates": 2, "poison": 1}
    assert found["pgqueue.worker_slots",] == 14
    del both


def test_instrumented_twice_each_is_told_once_and_no_longer_when_it_is_switched_off(
    read: Read,
) -> None:
    meter = meter_of()
    PgqueueInstrumentor().instrument(meter_provider=read.provider)

    assert read.points()["pgqueue.worker_slots",] == 7
    PgqueueInstrumentor().uninstrument()
    assert read.points() == {}
    PgqueueInstrumentor().instrument(meter_provider=read.provider)
    assert read.points()["pgqueue.worker_slots",] == 7
    del meter
