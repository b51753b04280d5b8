"""What the store is asked for its metrics: seldom, and never for long."""

from __future__ import annotations

import threading
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from pgqueue.errors import PgqueueError
from pgqueue.operations import Operation, inspections
from pgqueue.views.metrics import StoreFigures, store_figures
from pgqueue.worker.service import log

if TYPE_CHECKING:
    from pgqueue.app import App

CACHED_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 3.0  # less than Prometheus waits for a scrape
MOST_COUNTED: Final = 10_000


class StoreMeter:
    """Asks for all that scrape: at most every five seconds, one at a time. Who asks waits for three
    seconds: while the store does not answer, the rest of a scrape is worth having."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._asking = threading.Lock()
        self._answered = threading.Event()
        self._found: StoreFigures | None = None
        self._found_at = -inf

    def figures(self) -> StoreFigures | None:
        """What was found, five seconds ago at the most; None while the store does not answer."""
        if monotonic() - self._found_at > CACHED_SECONDS:
            if self._asking.acquire(blocking=False):
                self._answered.clear()
                threading.Thread(target=self._ask, name="pgqueue-metrics", daemon=True).start()
            self._answered.wait(PATIENCE_SECONDS)
        fresh = monotonic() - self._found_at <= CACHED_SECONDS + PATIENCE_SECONDS
        return self._found if fresh else None

    def _ask(self) -> None:
        try:
            self._found = self._read()
            self._found_at = monotonic()
        except PgqueueError as error:
            log.debug("the store's metrics are missing: %s", error)
        finally:
            self._asking.release()
            self._answered.set()

    def _read(self) -> StoreFigures:
        backend = self._app.backend
        queues = backend.execute(inspections.queues())
        return store_figures(
            queues,
            backend.execute(inspections.count(MOST_COUNTED)).counts,
            backend.execute(inspections.version()),
            backend.execute(_horizon()) if "roles" in backend.capabilities else None,
        )


def _horizon() -> Operation[float]:
    def decode(answers: Any) -> float:
        return max((seconds for *_, seconds, _ in answers[0] if seconds is not None), default=0.0)

    return Operation("doctor/horizon", {"limit": "10"}, decode)
