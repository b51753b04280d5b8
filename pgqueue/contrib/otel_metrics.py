"""Metrics of the workers in this process, for OpenTelemetry: those that Prometheus reads.

Each has Prometheus's name, with a dot behind `pgqueue` and without `_total`, and the same labels as
attributes. They are read when a reader collects, so they cost a job nothing. OpenTelemetry has no
histogram that is read so: of each there are two counters, the sum and the number.
"""

from __future__ import annotations

from functools import partial
from threading import Lock
from typing import Final
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from pgqueue.jobs.tally import Bridge, Figures, Series, added
from pgqueue.views.metrics import Family, worker_families
from pgqueue.worker.telemetry.meter import meters

_EVERY: Final = Figures([Series("", "")], running={"": 0}, bridges=[Bridge(""), Bridge("", True)])
"""With some of each, so that each metric has a name."""
_PARTS: Final = {"counter": ("_total",), "gauge": ("",), "histogram": ("_sum", "_count")}

_readings: Final[WeakKeyDictionary[metrics.MeterProvider, Reading]] = WeakKeyDictionary()


def measure(provider: metrics.MeterProvider | None, scope: str) -> None:
    """Give the metrics to readers of *provider*, or of the global one, from now on."""
    provider = provider or metrics.get_meter_provider()
    if provider not in _readings:
        _readings[provider] = Reading(provider.get_meter(scope))
    _readings[provider].is_on = True


def stop() -> None:
    """Give no values any more: an instrument cannot be taken back."""
    for reading in _readings.values():
        reading.is_on = False


class Reading:
    """The instruments of one provider.

    A reader asks each instrument once a collection. They share the families that the first of them
    makes: with hundreds of tasks that takes some milliseconds.
    """

    def __init__(self, meter: Meter) -> None:
        self.is_on = True
        self._lock = Lock()
        self._asked: set[tuple[str, str]] = set()
        self._families: dict[str, Family] = {}
        for family in worker_families(_EVERY):
            for suffix in _PARTS[family.kind]:
                self._instrument(meter, family, suffix)

    def _instrument(self, meter: Meter, family: Family, suffix: str) -> None:
        name = family.name.replace("_", ".", 1) + suffix.removesuffix("_total")
        observed = partial(self._observed, family.name, suffix)
        if family.kind == "gauge":
            meter.create_observable_gauge(name, [observed], description=family.help)
        else:
            meter.create_observable_counter(name, [observed], description=family.help)

    def _observed(self, name: str, suffix: str, _: CallbackOptions) -> list[Observation]:
        family = self._family(name, suffix) if self.is_on else None
        return [
            Observation(sample.value, dict(sample.labels))
            for sample in (family.samples if family else ())
            if sample.suffix == suffix
        ]

    def _family(self, name: str, suffix: str) -> Family | None:
        with self._lock:
            if not self._asked or (name, suffix) in self._asked:  # another collection has begun
                here = [meter.figures() for meter in list(meters)]
                families = worker_families(added(here)) if here else ()
                self._families = {family.name: family for family in families}
                self._asked.clear()
            self._asked.add((name, suffix))
            return self._families.get(name)
