"""How a process is: whether it should be restarted, and whether it works."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol

from pgqueue.worker.connection import Health

# A task that blocks the event loop for less than this is a warning in the log, not a death.
LIVE_SECONDS = 10.0
READY_SECONDS = 30.0


class Vitals(Protocol):
    """What a process says of itself. Asked from any thread."""

    def dead(self) -> str | None:
        """Why the process should be restarted; None while it lives."""
        ...

    def unready(self) -> str | None:
        """Why no work should be expected of it now; None while it works."""
        ...


class WorkerVitals:
    """Those of a worker. That the database is away is no reason to restart it: what it has in hand
    goes on, and it comes back by itself."""

    def __init__(
        self, silence: Callable[[], float], health: Health, heartbeat_interval: float
    ) -> None:
        """*silence*: for how long the event loop has not turned."""
        self._silence = silence
        self._health = health
        # An idle worker may ask the store nothing for two and a half heartbeats.
        self._patience = max(READY_SECONDS, 3 * heartbeat_interval)
        self.joined = False
        self.stopping = False

    def dead(self) -> str | None:
        silent = self._silence()
        if silent > LIVE_SECONDS:
            return f"the event loop has not turned for {silent:.0f} s: a task blocks it"
        return None

    def unready(self) -> str | None:
        if self.stopping:
            return "stopping"
        if not self.joined:
            return f"not at work yet: {self._health.reason}"
        silent = monotonic() - self._health.answered_at
        if silent > self._patience:
            return f"no answer from the store for {silent:.0f} s: {self._health.reason}"
        return self.dead()
