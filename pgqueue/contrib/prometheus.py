"""A collector for `prometheus_client`: the metrics of an application, beside its own.

    REGISTRY.register(Collector(app))

The store's metrics, and those of the workers that run in this process, if any do: register it
before they start. A worker's own `--health-port` serves the same metrics without prometheus_client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pgqueue.app import App
from pgqueue.errors import installed
from pgqueue.jobs.tally import added
from pgqueue.views.metrics import Family, store_families, worker_families
from pgqueue.worker.telemetry.meter import meters
from pgqueue.worker.telemetry.store import StoreMeter

with installed("prometheus"):
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector as BaseCollector


class Collector(BaseCollector):
    """Collect the metrics of *app* at each scrape; the store is asked every five seconds at most.

    While the store does not answer, its metrics are missing. With *store* False it is never asked:
    one of an application's many processes is enough to ask it.
    """

    def __init__(self, app: App, *, store: bool = True) -> None:
        self._app = app
        self._store = StoreMeter(app) if store else None

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        ours = [meter.figures() for meter in list(meters) if meter.app is self._app]
        if ours:
            yield from _metrics(worker_families(added(ours)))
        found = None if self._store is None else self._store.figures()
        if found is not None:
            yield from _metrics(store_families(found))

    def describe(self) -> list[Metric]:
        """Return no metrics: naming them would ask the store."""
        return []


def _metrics(families: Iterable[Family]) -> Iterator[Metric]:
    for family in families:
        metric = Metric(family.name, family.help, family.kind)
        for suffix, labels, value in family.samples:
            metric.add_sample(family.name + suffix, dict(labels), value)
        yield metric
