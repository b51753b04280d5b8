"""The model's queues, workers and leaders: who is there, who leads, which queues are paused."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from pgqueue.jobs.job import State
from pgqueue.operations import Held, Leadership, Membership
from pgqueue.testing.model_inspections import Inspections

LEASES: Final = 10_000_000


class Members(Inspections):
    """Workers by their number, when each was last heard, and how many jobs it had by then."""

    def __init__(self, keep: frozenset[State]) -> None:
        super().__init__(keep)
        self.leaders: dict[str, tuple[int, datetime]] = {}
        self._workers = count(1)
        self.busy: dict[int, int] = {}

    def pause(self, queue: str, *, now: datetime) -> None:
        self.paused.setdefault(queue, now)

    def resume(self, queue: str) -> None:
        self.paused.pop(queue, None)

    def join(self, *, now: datetime) -> Membership:
        worker = next(self._workers)
        self.workers[worker] = now
        return Membership(worker, worker * LEASES)

    def leave(self, worker: int) -> None:
        self.workers.pop(worker, None)

    def heartbeat(
        self, worker: int, leases: Iterable[tuple[int, int]], *, now: datetime
    ) -> dict[tuple[int, int], Held]:
        leases = list(leases)
        self.workers[worker], self.busy[worker] = now, len(leases)
        held = ((id, lease, self._held(id, lease)) for id, lease in leases)
        return {(id, ls): Held(id, ls, job.cancel_requested) for id, ls, job in held if job}

    def elect(self, name: str, worker: int, term: timedelta, *, now: datetime) -> Leadership:
        leader, until = self.leaders.get(name, (worker, now))
        if leader != worker and until > now:
            return Leadership(False, leader, len(self.workers))
        self.leaders[name] = (worker, now + term)
        return Leadership(True, worker, len(self.workers))

    def resign(self, name: str, worker: int) -> None:
        if self.leaders.get(name, (0,))[0] == worker:
            del self.leaders[name]
