"""Worker processes: killed, frozen, asked to stop."""

from __future__ import annotations

import signal
from contextlib import suppress

import psutil

from tests.faults import fleet, pace
from tests.faults.fleet import Process
from tests.faults.kinds import Kind, Missed
from tests.faults.recovery import GRACE


class OneWorker(Kind):
    """Befalls one worker."""

    worker: Process

    def strike(self) -> frozenset[str]:
        self.worker = self.scene.victim()
        self.befall(self.worker)
        return frozenset({self.worker.name})

    def befall(self, worker: Process) -> None:
        raise NotImplementedError


class WorkerKilled(OneWorker):
    name = "worker-killed"
    measure = "jobs"
    lasts = (0.2, 3.0)

    def befall(self, worker: Process) -> None:
        self.scene.fleet.end(worker, signal.SIGKILL)

    def heal(self) -> None:
        self.scene.fleet.relaunch(self.worker.slot)


class KilledInCalm(WorkerKilled):
    """Strikes when no other fault was near, and none comes until its jobs run again: where
    the store is stopped all the time, only that shows how long a rescue takes."""

    name = "killed-in-calm"
    calm = GRACE + 1.0

    @classmethod
    def span(cls) -> tuple[float, float]:
        return pace.frozen_after() + 3.0, pace.frozen_after() + 4.0


class PoolChildKilled(OneWorker):
    name = "pool-child-killed"
    measure = "jobs"
    lasts = (0.2, 0.5)

    def strike(self) -> frozenset[str]:
        """One that is at work, if there is one."""
        with suppress(psutil.Error):
            children = [
                (worker, child) for worker in self.scene.fleet.living() for child in worker.pool()
            ]
            if children:
                worker, child = self.scene.random.choice(children)
                child.kill()
                return frozenset({worker.name})
        raise Missed("no process of a pool")


class WorkerFrozen(OneWorker):
    """SIGSTOP, longer than its lease lasts; then it thaws."""

    name = "worker-frozen"
    measure = "jobs"

    @classmethod
    def span(cls) -> tuple[float, float]:
        return pace.frozen_after() + 1.0, pace.frozen_after() + 2.5

    def befall(self, worker: Process) -> None:
        worker.send(signal.SIGSTOP)

    def heal(self) -> None:
        self.worker.send(signal.SIGCONT)


class WorkerStopped(OneWorker):
    """SIGTERM: it stops in good order."""

    name = "worker-terminated"
    measure = "jobs"
    lasts = (0.0, 0.5)

    def befall(self, worker: Process) -> None:
        self.scene.fleet.end(worker, signal.SIGTERM)

    def heal(self) -> None:
        self.scene.fleet.relaunch(self.worker.slot)


assert fleet.GRACE < 60
