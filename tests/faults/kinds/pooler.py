"""The pooler in between."""

from __future__ import annotations

from tests.faults.facts import EVERYBODY
from tests.faults.kinds import Kind


class PoolerKilled(Kind):
    """SIGKILL of the pooler; another one comes after a while."""

    name = "pooler-killed"
    robs = False
    measure = "queue"
    lasts = (0.2, 2.0)

    def strike(self) -> frozenset[str]:
        self.site.stop_pooler()
        return EVERYBODY

    def heal(self) -> None:
        self.site.start_pooler()
