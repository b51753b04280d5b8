"""The primary dies, and its standby is promoted."""

from __future__ import annotations

import time

from tests.faults.facts import EVERYBODY
from tests.faults.kinds import Kind, Missed


class StandbyPromoted(Kind):
    """Once: a third server is not there."""

    name = "standby-promoted"
    measure = "queue"

    def strike(self) -> frozenset[str]:
        if self.site.dead:
            raise Missed("there is no standby left")
        self.site.promote()
        return EVERYBODY


class StandbyBehind(Kind):
    """As the one before, but the standby has missed the last seconds: they are undone."""

    name = "standby-behind"
    measure = "queue"

    def strike(self) -> frozenset[str]:
        if self.site.dead:
            raise Missed("there is no standby left")
        with self.scene.still():
            self.forgot_since = time.monotonic()
            self.site.fall_behind()
        time.sleep(self.scene.random.uniform(3.0, 6.0))
        with self.scene.still(forgets=True):
            self.site.promote()
        return EVERYBODY
