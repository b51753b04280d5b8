"""A new version of the code."""

from __future__ import annotations

import signal
import time

from tests.faults.kinds import Kind


class Deployed(Kind):
    """Tasks that the old workers do not know are enqueued before one worker does, then all do."""

    name = "deployed"
    lasts = (1.0, 3.0)

    def strike(self) -> frozenset[str]:
        fleet = self.scene.fleet
        self.version = max(fleet.version.values(), default=0) + 1
        first = self.scene.victim()
        names = frozenset(worker.name for worker in fleet.living())
        self.scene.producer.order(f"engrave_{self.version}", 0.0, 2)
        time.sleep(self.scene.random.uniform(0.2, 1.0))
        self.deploy(first.slot)
        return names

    def heal(self) -> None:
        for slot in self.scene.fleet.processes:
            if self.scene.fleet.version.get(slot) != self.version:
                self.deploy(slot)

    def deploy(self, slot: str) -> None:
        fleet = self.scene.fleet
        fleet.end(fleet.processes[slot], signal.SIGTERM)
        fleet.version[slot] = self.version
        fleet.relaunch(slot)
