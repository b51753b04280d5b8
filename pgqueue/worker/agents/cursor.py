"""Where one queue's work begins, and when to look there again."""

from __future__ import annotations

from collections import deque
from math import inf
from time import monotonic

from pgqueue.operations import ClaimedInTurn, ClaimedJob, Lower
from pgqueue.worker.agents.lowest_share import LowestShare

MAX_FLOORS = 64
FIRST_GAP_SECONDS = 0.002
STEADY_GAP_SECONDS = 0.001  # the gap in a steady stream of jobs: a look after it mostly finds some
STEADY_SECONDS = 0.01  # a stream is steady if the average time between two finds is shorter
PACE_SHARE = 0.1  # how much the latest find counts in that average
PAUSE_SECONDS = 0.02  # the longest pause within a stream: after it the gaps grow
# The extra cost of looks from the bottom may be at most 1/BOTTOM_SHARE of the time.
BOTTOM_SHARE = 30
SAMPLES = 4
SATURATED_BOTTOM_SECONDS = 0.25
HAND_OVER_SECONDS = 0.05  # where jobs are shorter, the end of one may start the next
LOOK_SECONDS = 0.01  # so often all keys are looked at meanwhile
TERMS_SECONDS = 1.0  # between two questions for a queue's terms
COUNTING_SECONDS = 1.0  # so long keys are counted, once a claim has met many that are full
KEYLESS_SECONDS = 30.0  # a queue without any key for so long is served as one without keys


class Cursor:
    """Where one queue's work begins, and when to look there again.

    While vacuum is held back, a claim walks over every dead index entry in front of the first job.
    As far as we know, everything up to a priority's floor has been taken, so the walk starts there.
    That is only a hint: a transaction that commits late leaves jobs below the floor. So claims also
    look from the bottom: whenever one came back short, and now and then while all come back full,
    but so seldom that it takes only a small part of the time.
    """

    def __init__(self, name: str, limit: int | None) -> None:
        self.name = name
        self.limit = limit
        self.floors: dict[int, int] = {}
        self.saturated = False
        self.gap = FIRST_GAP_SECONDS
        self.poll_at = 0.0
        self.idle_since = monotonic()
        self.asked_at = -inf
        self._told_at = -inf
        self.asleep = False
        self._pace = PAUSE_SECONDS
        self._found_at = -inf
        self._bottom_at = 0.0
        self._bottom_costs: deque[float] = deque(maxlen=SAMPLES)
        self._floor_costs: deque[float] = deque(maxlen=SAMPLES)
        self._wakes = 0.0
        self._woken_at = 0.0
        self.share = LowestShare()
        self.in_turn = False
        self._freed = False
        self._is_full = False
        self.after = ""
        self._keyed_at = -inf
        self._terms_asked_at = -inf
        self._refused_at = -inf
        self.counting = True
        self._short_at = -inf

    def from_bottom(self, now: float) -> bool:
        """Is it time to look at the whole queue?"""
        wait = self._extra_cost() * BOTTOM_SHARE
        if self.saturated:
            wait = max(wait, SATURATED_BOTTOM_SECONDS)
        return not self.floors or len(self.floors) > MAX_FLOORS or now - self._bottom_at >= wait

    def _extra_cost(self) -> float:
        """What a look from the bottom costs beyond one from the floors. Compares the cheapest of
        the last few: dearer ones include a wait for a processor."""
        extra = min(self._bottom_costs, default=0.0) - min(self._floor_costs, default=0.0)
        return max(0.0, extra)

    def took(self, jobs: list[ClaimedJob], limit: int, bottom: bool, began: float) -> None:
        """Learns from a claim's answer where the next one has to start, and when."""
        if bottom and any(job.key for job in jobs):  # a claim from floors takes none of these
            self.served_in_turn()
        now = monotonic()
        self.asked_at = began
        self.saturated = len(jobs) >= limit
        self.share.took(jobs, limit, now)
        last = {job.priority: job.position for job in jobs}
        (self._bottom_costs if bottom else self._floor_costs).append(now - began)
        if bottom:
            self._bottom_at = now
            if self.saturated:  # jobs behind the last one, at its priority, were not looked at
                self.floors.pop(jobs[-1].priority, None)
        for priority, position in last.items():
            self.floors[priority] = max(position, self.floors.get(priority, 0))
        if jobs:
            self._pace += PACE_SHARE * (min(now - self._found_at, PAUSE_SECONDS) - self._pace)
            self.idle_since = self._found_at = now
            # Asleep, the gaps keep growing: only transactions that were open when we fell asleep
            # have to be found by looking.
            if not self.asleep:
                self.gap = STEADY_GAP_SECONDS if self._pace < STEADY_SECONDS else FIRST_GAP_SECONDS
        # A job of which we were notified during the claim may be missing in its answer.
        at_once = self.saturated or self._told_at >= began
        self.poll_at = now if at_once else now + self.gap
        if self.asleep or now - self._found_at >= PAUSE_SECONDS:
            self.gap *= 2

    def took_lower(self, jobs: list[ClaimedJob], limit: int, lower: Lower, began: float) -> None:
        """Learns from the answer to a claim of *lower* priorities; urgent jobs wait behind it."""
        self.share.took_lower(jobs, limit, lower, monotonic())
        for job in jobs:
            self.floors[job.priority] = max(job.position, self.floors.get(job.priority, 0))
        self.poll_at = began

    def took_in_turn(self, turn: ClaimedInTurn, limit: int, began: float) -> None:
        """Learns from a claim in turn where the next one begins, and when."""
        now = monotonic()
        if turn.more and 4 * len(turn.jobs) < 3 * limit:
            self._short_at = now
        self.counting = not turn.more or now - self._short_at < COUNTING_SECONDS
        self.after = turn.after
        if turn.keyed or turn.limited:
            self._keyed_at = now
        elif not turn.more and now - self._keyed_at > KEYLESS_SECONDS:
            self.in_turn = False
        if not turn.more and not turn.contended:
            self.asked_at = began
        self.saturated = turn.more and bool(turn.jobs)
        if turn.jobs:
            self.idle_since = self._found_at = now
            if not self.asleep:
                self.gap = min(self.gap, PAUSE_SECONDS) if self._freed else FIRST_GAP_SECONDS
        self._freed = False
        self._is_full = turn.limited and not turn.more and not turn.contended and not turn.free_in
        if turn.more or self._told_at >= began:
            self.poll_at = now
            return
        seconds = self.gap if turn.free_in is None else min(self.gap, turn.free_in.total_seconds())
        self.poll_at = now + (FIRST_GAP_SECONDS if turn.contended else seconds)
        self.gap *= 2

    def took_over(self, jobs: list[ClaimedJob] | None, began: float) -> None:
        """Learns from a claim of only those keys whose jobs have ended."""
        now = monotonic()
        if jobs is None:
            self._refused_at = now
        if jobs:
            self.idle_since = self._found_at = now
        self.poll_at = now + self.gap if jobs and self._told_at < began else now

    def served_in_turn(self) -> None:
        """From now on its keys are served in turn, within its limits."""
        self.in_turn = True
        self._keyed_at = monotonic()
        self.floors.clear()

    def asks_for_terms(self, jobs: list[ClaimedJob]) -> bool:
        """Is it time to ask whether the queue has limits or a lowest share now? A claim found no
        job, or as many as we had room for."""
        due = monotonic() - self._terms_asked_at >= TERMS_SECONDS
        due = due and not self.in_turn and (self.saturated or not jobs)
        if due:
            self._terms_asked_at = monotonic()
        return due

    def look(self) -> None:
        """There may be work."""
        self._told_at = monotonic()
        self.poll_at = 0.0
        self.gap = FIRST_GAP_SECONDS
        self._is_full = False

    def freed(self) -> None:
        """One of its jobs has ended, so its limits may allow another one. If the following look
        finds a job, the gap between looks is not reset: the next end leads to a look anyway."""
        self._told_at = monotonic()
        self.poll_at = 0.0
        self._freed = True

    def waits_for_an_end(self, now: float) -> bool:
        """Can another job start only when one ends? And was the last end so recent that the next
        may well come as soon?"""
        return self.in_turn and self._is_full and now - self._found_at < HAND_OVER_SECONDS

    def hands_over(self, now: float) -> bool:
        """Where it waits for an end: is a look at no more than the keys of what ends enough?"""
        return now - self.asked_at < LOOK_SECONDS and now - self._refused_at >= TERMS_SECONDS

    def full(self, until: float) -> None:
        """The queue is at its limit: no need to look before one of its jobs has ended."""
        self.idle_since = monotonic()
        self.poll_at = until

    def notified(self) -> None:
        """Somebody who enqueued has told us."""
        self._wakes = self._recent_wakes() + 1
        self._woken_at = self._told_at = self.idle_since = monotonic()
        self.poll_at = 0.0

    @property
    def often_notified(self) -> bool:
        """Whether notifications come so often that looking by ourselves is better: then those who
        enqueue need not notify."""
        return self._recent_wakes() > 10

    def _recent_wakes(self) -> float:
        return self._wakes * max(0.0, 1 - (monotonic() - self._woken_at) * 10)
