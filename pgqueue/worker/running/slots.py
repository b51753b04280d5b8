"""Places for jobs, by their kind: coroutines, functions in threads, or in processes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from pgqueue.operations import ClaimedJob
from pgqueue.tasks.task import Task

if TYPE_CHECKING:
    from pgqueue.worker.running.run import Run

PLENTY: Final = 2_000


class Slots:
    """*limit* places for one kind of jobs, the jobs that wait for one, and the share of each
    queue's jobs that are of this kind.

    A claim names a queue, not a kind of jobs. The kinds of the jobs that came last from a queue are
    the best guess at the next ones. Without a guess, a claim would take jobs that have to wait here
    while other workers could run them.
    """

    def __init__(self, limit: int, queues: Iterable[str] = ()) -> None:
        """*queues*: those that tasks of this kind name as theirs."""
        self.limit = limit
        self.running = 0
        self.waiting: deque[Run] = deque()
        self._shares = dict.fromkeys(queues, 1.0)

    @property
    def ready(self) -> int:
        """How many of the waiting jobs could start now."""
        return max(0, min(len(self.waiting), self.limit - self.running))

    def learn(self, jobs: Sequence[ClaimedJob]) -> None:
        """Learns the shares from *jobs*, which a claim has brought. Those of our kind must be in
        `waiting` already."""
        ours = {run.job.id for run in self.waiting}
        found = Counter(job.queue for job in jobs)
        of_ours = Counter(job.queue for job in jobs if job.id in ours)
        for queue, number in found.items():
            share = of_ours[queue] / number
            self._shares[queue] = (share + self._shares.get(queue, share)) / 2

    def room_in(self, queue: str, ahead: int) -> int:
        """How many jobs to claim from *queue*, if *ahead* jobs of this kind may wait for one."""
        share = self._shares.get(queue, 0.0)
        if share < 1 / PLENTY:
            return PLENTY
        free = self.limit - self.running - len(self.waiting)
        if free <= 0 and ahead > self.limit and 2 * len(self.waiting) >= ahead:
            return 0  # quick jobs: claims once half of those ahead are used up, not for each
        # As many jobs may wait as there are places. With fewer, the queue would not be claimed
        # from, and coroutines behind our jobs in it would wait as well.
        return ceil(max(0, free + max(ahead, self.limit)) / share)


class Kinds:
    """The places of each kind that *tasks* are of. *concurrency*: how many jobs may run at once.

    *scarce* are those of threads and processes, which may have lower *limits* of their own.
    """

    def __init__(
        self, tasks: Mapping[str, Task[..., Any]], concurrency: int, limits: Mapping[str, int]
    ) -> None:
        self._tasks = tasks
        self._concurrency = concurrency
        self._limits = limits
        self.coroutines = Slots(concurrency)
        self.scarce: list[Slots] = []
        self._by_kind = {"async": self.coroutines}
        self._by_task: dict[str, Slots] = {}
        for task in tasks.values():
            self._of_kind(task.executor)

    def of(self, job: ClaimedJob) -> Slots:
        """The places of *job*'s kind; if its task is unknown, those of coroutines."""
        return self._by_task.get(job.task) or self._found(job.task)

    def first(self) -> Slots | None:
        """The places from which to start the next job: of the kinds that have one free, the kind
        whose first job has waited longest. None if no job can start."""
        if not self.scarce:
            return self.coroutines
        ready = [slots for slots in self._by_kind.values() if slots.ready]
        return min(ready, key=lambda slots: slots.waiting[0].number, default=None)

    @property
    def ready(self) -> int:
        """How many of the jobs that wait could start if there were slots: all but those for which
        no thread or process is free."""
        return len(self.coroutines.waiting) + sum(slots.ready for slots in self.scarce)

    def clear(self) -> list[Run]:
        """Removes all waiting jobs, and returns them."""
        waiting = [run for slots in self._by_kind.values() for run in slots.waiting]
        for slots in self._by_kind.values():
            slots.waiting.clear()
        return waiting

    def _found(self, name: str) -> Slots:
        task = self._tasks.get(name)
        if task is None:
            return self.coroutines
        slots = self._by_task[name] = self._of_kind(task.executor)
        return slots

    def _of_kind(self, kind: str) -> Slots:
        slots = self._by_kind.get(kind)
        if slots is None:
            limit = min(self._limits.get(kind, self._concurrency), self._concurrency)
            queues = (task.queue for task in self._tasks.values() if task.executor == kind)
            slots = self._by_kind[kind] = Slots(limit, queues)
            self.scarce.append(slots)
        return slots
