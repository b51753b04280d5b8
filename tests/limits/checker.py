"""What no observer may ever see of a queue with limits, in snapshots and in what remains of it.

Each snapshot is one statement, or one script: so it is consistent, whatever happens meanwhile.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise

from pgqueue.backends.base import Backend
from pgqueue.jobs.job import Job, State
from pgqueue.jobs.limits import Limits, Rate
from pgqueue.operations import inspections


class Checker:
    """Looks at *queue* again and again, and notes what its *limits* forbid."""

    def __init__(self, backend: Backend, queue: str, limits: Limits) -> None:
        self._backend = backend
        self._queue = queue
        self._limits = limits
        self._starts: dict[tuple[int, datetime], str | None] = {}
        self.looks = 0
        self.most = 0
        self.broken: list[str] = []

    def look(self) -> None:
        """One snapshot."""
        running = self._backend.execute(
            inspections.list_jobs(state=State.RUNNING, queue=self._queue, limit=1_000)
        )
        self.looks += 1
        self.most = max(self.most, len(running))
        self._start(running)
        limits = self._limits
        if limits.concurrency is not None and len(running) > limits.concurrency:
            self.broken.append(f"{len(running)} run, {limits.concurrency} may")
        most = 1 if limits.ordered else limits.key_concurrency
        for key, count in Counter(job.key for job in running).items():
            if most is not None and count > most and (key or limits.ordered):
                self.broken.append(f"{count} of key {key} run, {most} may")

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Looks all the while, in a thread."""
        ended = threading.Event()

        def go_on() -> None:
            while not ended.is_set():
                self.look()

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def ends(self, jobs: Sequence[Job]) -> None:
        """All *jobs* have ended: looks at when they began, and in which order."""
        self._start(jobs)
        limits = self._limits
        if limits.rate is not None:
            self._in_any_period(limits.rate, (at for _, at in self._starts), "the queue")
        keys = {key for key in self._starts.values() if key is not None}
        for key in keys if limits.key_rate is not None else ():
            starts = (at for (_, at), own in self._starts.items() if own == key)
            assert limits.key_rate is not None
            self._in_any_period(limits.key_rate, starts, f"key {key}")
        if limits.ordered:
            self._in_order(jobs)

    def _start(self, jobs: Iterable[Job]) -> None:
        self._starts |= {(job.id, job.claimed_at): job.key for job in jobs if job.claimed_at}

    def _in_any_period(self, rate: Rate, starts: Iterable[datetime], whose: str) -> None:
        ordered = sorted(starts)
        for first, beyond in zip(ordered, ordered[rate.count :], strict=False):
            if beyond - first <= timedelta(seconds=rate.per):
                self.broken.append(f"{rate.count + 1} of {whose} began within {beyond - first}")

    def _in_order(self, jobs: Sequence[Job]) -> None:
        by_key: dict[str | None, list[Job]] = defaultdict(list)
        for job in sorted(jobs, key=lambda job: job.id):
            by_key[job.key].append(job)
        for key, line in by_key.items():
            for before, after in pairwise(line):
                assert before.finished_at
                assert after.claimed_at
                if after.claimed_at < before.finished_at:
                    self.broken.append(f"{after.id} of key {key} began before {before.id} ended")
