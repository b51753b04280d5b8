"""The Valkey server: restarted, killed, frozen, full; and its clients' connections."""

from __future__ import annotations

import signal
from contextlib import suppress

from tests.faults.facts import EVERYBODY
from tests.faults.kinds import Kind
from tests.faults.kinds.outages import Outage


class ServerStopped(Kind):
    name = "server-restarted"
    robs = False
    measure = "queue"
    lasts = (0.0, 1.5)
    number = signal.SIGTERM

    def strike(self) -> frozenset[str]:
        self.site.server.stop(self.number)
        return EVERYBODY

    def heal(self) -> None:
        self.site.start_server()


class ServerKilled(ServerStopped):
    name = "server-killed"
    number = signal.SIGKILL


class ServerAway(ServerStopped):
    """Longer than `frozen_after`."""

    name = "server-away"
    span = Outage.span


class ServerFrozen(Kind):
    """SIGSTOP: connections stay open, and nothing answers."""

    name = "server-frozen"
    robs = False
    measure = "queue"
    lasts = (1.0, 8.0)

    def strike(self) -> frozenset[str]:
        self.site.server.process.send_signal(signal.SIGSTOP)
        return EVERYBODY

    def heal(self) -> None:
        self.site.server.process.send_signal(signal.SIGCONT)


class ConnectionsKilled(Kind):
    """CLIENT KILL: everybody's, the producer's too."""

    name = "connections-killed"
    robs = False
    measure = "queue"

    def strike(self) -> frozenset[str]:
        for kind in ("normal", "pubsub"):
            with suppress(*self.site.away):
                self.site.client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        return EVERYBODY


class MemoryFull(Kind):
    """The server is full and throws nothing away: new jobs are refused, old ones can end."""

    name = "memory-full"
    robs = False
    measure = "queue"
    lasts = (2.0, 5.0)

    def strike(self) -> frozenset[str]:
        self.site.client.config_set("maxmemory", "1mb")
        return EVERYBODY

    def heal(self) -> None:
        self.site.client.config_set("maxmemory", "0")


class JoinedWhileFull(MemoryFull):
    """One worker is killed, and another takes its place, while the server is full."""

    name = "joined-while-full"
    measure = "workers"
    robs = True
    lasts = (6.0, 9.0)

    def strike(self) -> frozenset[str]:
        worker = self.scene.victim()
        super().strike()
        self.scene.fleet.end(worker, signal.SIGKILL)
        self.scene.fleet.relaunch(worker.slot)
        return frozenset({worker.name, self.scene.fleet.processes[worker.slot].name})
