"""The primary dies, and its standby is promoted."""

from __future__ import annotations

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
