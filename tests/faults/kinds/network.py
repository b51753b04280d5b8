"""The network between one worker and the server."""

from __future__ import annotations

from tests.faults.kinds import Kind
from tests.faults.proxy import Gate


class NetworkFault(Kind):
    measure = "workers"
    lasts = (1.0, 4.0)
    ear_only = False

    def strike(self) -> frozenset[str]:
        worker = self.scene.victim()
        names = [f"{worker.slot} ear", *([] if self.ear_only else [worker.slot])]
        self.gates = [self.site.gate(name) for name in names]
        for gate in self.gates:
            self.damage(gate)
        return frozenset({worker.name})

    def damage(self, gate: Gate) -> None:
        raise NotImplementedError

    def heal(self) -> None:
        for gate in self.gates:
            gate.heal()


class NetworkCut(NetworkFault):
    """Connections are reset, new ones refused."""

    name = "network-cut"

    def damage(self, gate: Gate) -> None:
        gate.cut()


class NetworkSlow(NetworkFault):
    """Every message takes 50 to 400 ms longer, each way."""

    name = "network-slow"
    robs = False
    lasts = (2.0, 5.0)

    def damage(self, gate: Gate) -> None:
        gate.slow(self.scene.random.uniform(0.05, 0.4))


class NetworkHeld(NetworkFault):
    """Nothing arrives, without an error; then all of it does."""

    name = "network-held"
    lasts = (2.0, 9.0)

    def damage(self, gate: Gate) -> None:
        gate.hold()


class NetworkHalfOpen(NetworkFault):
    """Open connections go silent for ever, without an error; new ones work."""

    name = "network-half-open"
    lasts = (15.0, 20.0)

    def damage(self, gate: Gate) -> None:
        gate.forget()


class ListenCut(NetworkCut):
    """The LISTEN connection alone is cut, and cannot come back for a while."""

    name = "listen-cut"
    ear_only = True


class ListenHalfOpen(NetworkHalfOpen):
    """The LISTEN connection alone goes deaf, for ever."""

    name = "listen-half-open"
    ear_only = True
