"""The store goes back, while workers run: an older copy takes its place, or all is forgotten."""

from __future__ import annotations

import signal
import time

from tests.faults.facts import EVERYBODY
from tests.faults.kinds import Kind
from tests.faults.kinds.outages import send, workers


class StoreRestored(Kind):
    """A copy is made; seconds of work later it takes the store's place."""

    name = "store-restored"
    measure = "queue"

    def strike(self) -> frozenset[str]:
        with self.scene.still():
            self.site.keep()
            self.forgot_since = time.monotonic()
        time.sleep(self.scene.random.uniform(4.0, 8.0))
        with self.scene.still(forgets=True):
            self.restore()
        return EVERYBODY

    def restore(self) -> None:
        self.site.restore()


class FileReplaced(StoreRestored):
    """A SQLite database is three files, which cannot be replaced at once: so nobody opens them."""

    name = "file-replaced"

    def restore(self) -> None:
        stopped = workers(self.scene.fleet)
        send(stopped, signal.SIGSTOP)
        self.site.restore()
        send(stopped, signal.SIGCONT)


class Flushed(Kind):
    """FLUSHALL: nothing is left, and numbers begin anew."""

    name = "flushed"
    measure = "queue"
    forgot_since = 0.0

    def strike(self) -> frozenset[str]:
        with self.scene.still(forgets=True):
            self.site.client.flushall()
        return EVERYBODY
