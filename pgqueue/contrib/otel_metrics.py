"""Metrics of the workers in this process, for OpenTelemetry: those that Prometheus reads.

Each has Prometheus's name, with a dot behind `pgqueue` and without `_total`, and the same labels as
attributes. They are read when a reader collects, so they cost a job nothing. OpenTelemetry has no
histogram that is read so: of each there are two counters, the sum and the number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final
from weakref import WeakSet

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from pgqueue.jobs.tally import Bridge, Figures, Series, added
from pgqueue.views.metrics import Family, worker_families
from pgqueue.worker.telemetry.meter import meters

_EVERY: Final = Figures([Series("", "")], running={"": 0}, bridges=[Bridge(""), Bridge("", True)])
"""With some of each, so that each metric has a name."""
_PARTS: Final = {"counter": ("_total",), "gauge": ("",), "histogram": ("_sum", "_count")}

Callback = Callable[[CallbackOptions], Iterable[Observation]]
_told: Final[WeakSet[metrics.MeterProvider]] = WeakSet()
_off = False


def measure(provider: metrics.MeterProvider | None, scope: str) -> None:
    """Give the metrics to readers of *provider*, or of the global one, from now on."""
    global _off
    _off = False
    provider = provider or metrics.get_meter_provider()
    if provider in _told:
        return
    _told.add(provider)
    meter = provider.get_meter(scope)
    for family in worker_families(_EVERY):
        for suffix in _PARTS[family.kind]:
            _instrument(meter, family, suffix)


def stop() -> None:
    """Give no values any more: an instrument cannot be taken back."""
    global _off
    _off = True


def _instrument(meter: Meter, family: Family, suffix: str) -> None:
    name = family.name.replace("_", ".", 1) + suffix.removesuffix("_total")
    callback: Callback = partial(_observed, family.name, suffix)
    if family.kind == "gauge":
        meter.create_observable_gauge(name, [callback], description=family.help)
    else:
        meter.create_observable_counter(name, [callback], description=family.help)


def _observed(name: str, suffix: str, _: CallbackOptions) -> Iterable[Observation]:
    here = [] if _off else [meter.figures() for meter in list(meters)]
    if not here:
        return
    for family in worker_families(added(here)):
        if family.name == name:
            for sample in family.samples:
                if sample.suffix == suffix:
                    yield Observation(sample.value, dict(sample.labels))
