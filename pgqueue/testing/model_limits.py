"""What a queue allows, in the model: turns of keys, permits of running jobs, starts in a period."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

import msgspec

from pgqueue.jobs.job import Job, State
from pgqueue.jobs.limits import KeyLimits, Limits, Rate
from pgqueue.operations import ClaimedInTurn, KeyException, KeyUsage, Terms, Usage
from pgqueue.testing.model_inspections import in_hands
from pgqueue.testing.model_members import Members

ENDLESS: Final = 1_000_000
AHEAD: Final = timedelta(seconds=1)  # a start further ahead was noted by a wrong clock
# What queues allow in random histories: all rates have one period, as starts are remembered no
# longer.
LIMITS: Final[Sequence[Mapping[str, Any]]] = (
    {},
    {"concurrency": 2},
    {"key_concurrency": 1},
    {"concurrency": 3, "key_concurrency": 2},
    {"rate": Rate(2, 60)},
    {"key_rate": Rate(1, 60)},
    {"rate": Rate(3, 60), "key_rate": Rate(2, 60), "key_concurrency": 2},
    {"lowest_share": 0.25},
    {"ordered": True},
    {"ordered": True, "concurrency": 1, "key_rate": Rate(2, 60)},
)
KEY_LIMITS: Final = (
    None,
    KeyLimits(2),
    KeyLimits(weight=2),
    KeyLimits(1, Rate(2, 60), 3),
)


class Limited(Members):
    """The part of the queue that serves keys in turn."""

    def __init__(self, keep: frozenset[State]) -> None:
        super().__init__(keep)
        self.limits: dict[str, Limits] = {}
        self.shares: dict[str, float | None] = {}
        self.key_limits: dict[tuple[str, str], KeyLimits] = {}
        self.permits: dict[int, int] = {}
        self.starts: dict[tuple[str, str], list[tuple[datetime, int, int]]] = {}
        self._numbers = count(1)

    def limit(self, queue: str, fields: dict[str, Any]) -> Limits | None:
        """Set *fields*, and return all limits that hold now; the model does not remember earlier
        ones."""
        all_of_it = Limits(**fields)
        self.shares[queue] = all_of_it.lowest_share
        meant = msgspec.structs.replace(all_of_it, lowest_share=None)
        if meant == Limits() and not any(name == queue for name, _ in self.key_limits):
            self.limits.pop(queue, None)
            return None if all_of_it == meant else all_of_it
        self.limits[queue] = meant
        return all_of_it

    def limit_key(self, queue: str, key: str, limits: KeyLimits | None) -> Limits | None:
        if limits is None:
            self.key_limits.pop((queue, key), None)
        else:
            self.key_limits[queue, key] = limits
        said = msgspec.structs.asdict(self.limits.get(queue, Limits()))
        return self.limit(queue, said | {"lowest_share": self.shares.get(queue)})

    def claim_in_turn(
        self,
        queue: str,
        worker: int,
        lease: int,
        limit: int,
        after: str,
        quantum: int,
        steps: int,
        *,
        now: datetime,
    ) -> ClaimedInTurn:
        limits = self.limits.get(queue)
        room = self._room(queue, limit, now)
        picked: list[tuple[str, int]] = []
        granted = looked = 0
        at, keyed = after, False
        for key in self._ring(queue, after) if room > 0 else ():
            if granted >= room or looked >= steps:
                break
            at, looked, keyed = key, looked + 1, keyed or key != ""
            weight = self._own(queue, key).weight
            has = min(len(self._line(queue, key)), self._room_of(queue, key, now), quantum * weight)
            if has > 0:
                picked.append((key, weight))
                granted += has
        more = room > 0 and (granted >= room or looked >= steps)
        share = quantum if more else max(quantum, room // (sum(w for _, w in picked) or 1))
        jobs: list[Job] = []
        for key, weight in picked:
            most = min(self._room_of(queue, key, now), share * weight, room - len(jobs))
            jobs += self._line(queue, key)[: max(0, most)]
        taken = [in_hands(self._take(job, limits, worker, lease, now)) for job in jobs]
        return ClaimedInTurn(taken, at, more, False, None, bool(limits), keyed)

    def _take(self, job: Job, limits: Limits | None, worker: int, lease: int, now: datetime) -> Job:
        if limits is None:
            self.permits.pop(job.id, None)
        elif not (limits.ordered and job.id in self.permits):
            self.permits[job.id] = next(self._numbers)
        key = job.key or ""
        if limits is not None and limits.rate:
            self.starts.setdefault((job.queue, ""), []).append((now, job.id, lease))
        if key and self._rate_of(job.queue, key):
            self.starts.setdefault((job.queue, key), []).append((now, job.id, lease))
        owner = {"worker": worker, "lease": lease, "claimed_at": now}
        return self._change(job, state=State.RUNNING, attempt=job.attempt + 1, **owner)

    def _taken_plainly(self, queue: str, limit: int) -> list[Job]:
        """Take jobs for a claim that is not in turn: jobs that have keys first, in the order of
        their keys."""
        if queue in self.paused or queue in self.limits:
            return []
        ready = [j for j in self.jobs.values() if (j.state, j.queue) == (State.AVAILABLE, queue)]
        ready.sort(key=lambda job: (not job.key, (job.key or "").encode(), *_place(job)))
        for job in ready[:limit]:
            self.permits.pop(job.id, None)
        return sorted(ready[:limit], key=_place)

    def _give_back(self, job: Job) -> None:
        """Forget the start of the job's attempt: it had not begun."""
        if job.id in self.permits:
            for starts in self.starts.values():
                starts[:] = [s for s in starts if s[1:] != (job.id, job.lease)]

    def _end(self, job: Job, *args: Any, **options: Any) -> None:
        self.permits.pop(job.id, None)
        super()._end(job, *args, **options)

    # What can be read

    def usage(self, queue: str, *, now: datetime) -> Usage:
        """Return the usage of a queue with few keys: none is left out."""
        limits = self.limits.get(queue, Limits())
        waiting = Counter(
            job.key or ""
            for job in self.jobs.values()
            if (job.state, job.queue) == (State.AVAILABLE, queue)
        )
        held = (self.jobs[id] for id in self.permits)
        running = Counter(
            job.key or "" for job in held if (job.state, job.queue) == (State.RUNNING, queue)
        )
        keys = [
            KeyUsage(
                key,
                waiting[key],
                running[key],
                self._started(queue, key, self._rate_of(queue, key) if key else None, now),
                self.key_limits.get((queue, key)),
            )
            for key in waiting.keys() | running.keys()
        ]
        keys.sort(key=lambda used: (-used.waiting - used.running, used.key))
        began = self._started(queue, "", limits.rate, now)
        return Usage(sum(running.values()), began, keys)

    def turns(self, queues: Iterable[str]) -> dict[str, Terms]:
        return {
            queue: Terms(queue in self.limits, self.shares.get(queue) or 0.0)
            for queue in queues
            if queue in self.limits or self.shares.get(queue) is not None
        }

    def exceptions(self) -> list[KeyException]:
        return [KeyException(*place, own) for place, own in sorted(self.key_limits.items())]

    # What there is

    def _ring(self, queue: str, after: str) -> Iterator[str]:
        ready = (j for j in self.jobs.values() if (j.state, j.queue) == (State.AVAILABLE, queue))
        keys = sorted({job.key or "" for job in ready}, key=str.encode)
        later = [key for key in keys if key.encode() > after.encode()]
        yield from later
        yield from keys[: len(keys) - len(later)]

    def _line(self, queue: str, key: str) -> list[Job]:
        """Return the available jobs of a key, in the order in which they may be claimed."""
        ready = [
            job
            for job in self.jobs.values()
            if (job.state, job.queue, job.key or "") == (State.AVAILABLE, queue, key)
        ]
        ready.sort(key=lambda job: (job.priority, job.position))
        if self._is_ordered(queue) and (holder := self._holder_of(queue, key)):
            return [holder] if holder.state == State.AVAILABLE else []
        return ready[:1] if self._is_ordered(queue) else ready

    def _holder_of(self, queue: str, key: str) -> Job | None:
        held = [self.jobs[id] for id in sorted(self.permits, key=lambda id: self.permits[id])]
        return next((j for j in held if (j.queue, j.key or "") == (queue, key)), None)

    def _is_ordered(self, queue: str) -> bool:
        return queue in self.limits and self.limits[queue].ordered

    def _permitted(self, queue: str, key: str | None = None) -> int:
        return sum(
            job.state == State.RUNNING and job.queue == queue and key in (None, job.key or "")
            for job in (self.jobs[id] for id in self.permits)
        )

    # What there is room for

    def _room(self, queue: str, limit: int, now: datetime) -> int:
        limits = self.limits.get(queue, Limits())
        if queue in self.paused:
            return 0
        room = limit
        if limits.concurrency is not None:
            room = min(room, limits.concurrency - self._permitted(queue))
        return min(room, self._left(queue, "", limits.rate, now))

    def _room_of(self, queue: str, key: str, now: datetime) -> int:
        places = 1 if self._is_ordered(queue) else ENDLESS
        most = self._own(queue, key).concurrency or self.limits.get(queue, Limits()).key_concurrency
        if key and most is not None and not self._is_ordered(queue):
            places = most - self._permitted(queue, key)
        rate = self._rate_of(queue, key)
        return min(places, self._left(queue, key, rate, now) if key else ENDLESS)

    def _own(self, queue: str, key: str) -> KeyLimits:
        return self.key_limits.get((queue, key), KeyLimits())

    def _rate_of(self, queue: str, key: str) -> Rate | None:
        return self._own(queue, key).rate or self.limits.get(queue, Limits()).key_rate

    def _left(self, queue: str, key: str, rate: Rate | None, now: datetime) -> int:
        started = self._started(queue, key, rate, now)
        return ENDLESS if rate is None or started is None else rate.count - started

    def _started(self, queue: str, key: str, rate: Rate | None, now: datetime) -> int | None:
        """Return how many attempts began within the period of *rate*; None without a rate."""
        if rate is None:
            return None
        since = now - timedelta(seconds=rate.per)
        until = now + AHEAD
        starts = self.starts.get((queue, key), ())
        return sum(since <= at <= until for at, _, _ in starts)


def _place(job: Job) -> tuple[int, int]:
    return job.priority, job.position or 0
