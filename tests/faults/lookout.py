"""The lookout: looks at queues with limits, and at jobs whose keys hold until they have started,
one consistent snapshot after the other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any

from pgqueue.errors import StoreBusy, StoreUnavailable
from pgqueue.jobs.job import Job, State
from pgqueue.operations import inspections
from tests.faults.agent import Agent
from tests.faults.facts import FINISHED, Crowd, Holders, Order, Start
from tests.faults.orders import STARTED
from tests.faults.ration import EXECUTORS, QUEUES, most

PAUSE = 0.05
CHUNK = 500
NEWEST = 50  # all unfinished jobs are among so many of the newest


class Lookout(Agent):
    """A thread. Each snapshot is one statement, or one script."""

    def __init__(self, site: Any) -> None:
        super().__init__()
        self._app = site.app()
        self._away = (StoreUnavailable, StoreBusy, *site.away)
        self._most: Counter[tuple[str, str | None]] = Counter()
        self._crowds: list[Crowd] = []
        self._starts: set[Start] = set()
        self.holders: set[Holders] = set()

    def seen(self, orders: Iterable[Order]) -> tuple[list[Crowd], list[Start]]:
        """How many ran at once, and each start: those that were seen, and *orders*' last ones."""
        limited = [order.job for order in orders if order.executor in EXECUTORS]
        for first in range(0, len(limited), CHUNK):
            ids = limited[first : first + CHUNK]
            self._note(self._app.execute(inspections.get(ids)).values())
        self._app.close()
        return self._crowds, sorted(self._starts, key=lambda start: start.at)

    def _work(self) -> None:
        while not self._stopping.wait(PAUSE):
            with suppress(*self._away):
                for queue in QUEUES:
                    self._look(queue)
                self._look_at_keys()

    def _look(self, queue: str) -> None:
        listing = inspections.list_jobs(state=State.RUNNING, queue=queue, limit=1_000)
        now = monotonic()
        running = self._app.execute(listing)
        self._note(running)
        counts: Counter[str | None] = Counter({None: len(running)})
        counts.update(job.key or "" for job in running)
        for key, number in counts.items():
            if number > min(self._most[queue, key], most(queue, key)):
                self._most[queue, key] = number
                self._crowds.append(Crowd(queue, key, number, now))

    def _look_at_keys(self) -> None:
        found: dict[str, list[Job]] = defaultdict(list)
        for job in self._app.execute(inspections.list_jobs(tag=STARTED, limit=NEWEST)):
            if job.state not in FINISHED and job.unique_key is not None:
                found[job.unique_key].append(job)
        self.holders |= {
            Holders(
                key,
                len(jobs),
                sum(job.state != State.BLOCKED for job in jobs),
                sum(job.claimed_at is None for job in jobs),
            )
            for key, jobs in found.items()
        }

    def _note(self, jobs: Iterable[Job]) -> None:
        self._starts.update(_starts(jobs))


def _starts(jobs: Iterable[Job]) -> Iterator[Start]:
    for job in jobs:
        if job.claimed_at is not None:
            yield Start(job.id, job.queue, job.key or "", job.claimed_at)
