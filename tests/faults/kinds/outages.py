"""The store is away, or everything stands still, for longer than `frozen_after`: a worker
that comes back must find that none of its jobs was taken."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress

import psutil

from tests.faults import pace
from tests.faults.facts import EVERYBODY
from tests.faults.fleet import Fleet
from tests.faults.kinds import Kind


class Outage(Kind):
    measure = "queue"
    robs = False

    @classmethod
    def span(cls) -> tuple[float, float]:
        return pace.outage()


class ServerAway(Outage):
    """Shut down in good order, and started again much later."""

    name = "server-away"

    def strike(self) -> frozenset[str]:
        self.site.stop_server()
        return EVERYBODY

    def heal(self) -> None:
        self.site.server.start()


class Frozen(Outage):
    """SIGSTOP of *processes*, and later SIGCONT, in any order."""

    def processes(self) -> list[psutil.Process]:
        raise NotImplementedError

    def strike(self) -> frozenset[str]:
        self.stopped = self.processes()
        send(self.stopped, signal.SIGSTOP)
        return EVERYBODY

    def heal(self) -> None:
        self.scene.random.shuffle(self.stopped)
        send(self.stopped, signal.SIGCONT)


class ServerFrozen(Frozen):
    """The server's machine alone: its workers wait for answers."""

    name = "server-suspended"

    def processes(self) -> list[psutil.Process]:
        return self.site.processes()  # type: ignore[no-any-return]


class MachineSuspended(Frozen):
    """A laptop that is closed, a virtual machine that is paused: workers, their children, and the
    server."""

    name = "machine-suspended"

    def processes(self) -> list[psutil.Process]:
        return [*self.site.processes(), *workers(self.scene.fleet)]


def workers(fleet: Fleet) -> list[psutil.Process]:
    """All that live, with their children."""
    found = []
    for worker in fleet.living():
        with suppress(psutil.Error):
            process = psutil.Process(worker.process.pid)
            found += [process, *process.children(recursive=True)]
    return found


def send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)
