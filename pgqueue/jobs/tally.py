"""Outcomes of jobs as counts by queue and task, which can be added over any number of workers."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, log2
from typing import Final, Self, TypeVar

import msgspec

K = TypeVar("K", int, str)
OUTCOMES: Final = ("completed", "retried", "discarded", "cancelled", "snoozed")
# Bucket n holds durations of up to 2^(n/2) seconds: from 0.1 ms to three days.
FIRST, LAST = -26, 36


class Histogram(msgspec.Struct):
    """Durations, in buckets √2 apart; empty buckets are left out."""

    counts: dict[int, int] = {}
    seconds: float = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        n = FIRST if seconds <= 0 else min(max(ceil(2 * log2(seconds)), FIRST), LAST)
        counts = self.counts
        counts[n] = counts.get(n, 0) + times
        self.seconds += seconds * times

    def quantile(self, share: float) -> float | None:
        """Return the duration that *share* of them do not exceed, to within a bucket; None without
        any.

        Inside a bucket durations are taken to lie evenly on its logarithmic scale.
        """
        rank = share * sum(self.counts.values())
        for n in sorted(self.counts):
            count = self.counts[n]
            if count and rank <= count:
                return float(2 ** ((n - 1 + max(rank, 0) / count) / 2))
            rank -= count
        return None

    def since(self, before: Histogram) -> Histogram:
        """Return what has been added since *before*."""
        return Histogram(_more(before.counts, self.counts), self.seconds - before.seconds)

    def __iadd__(self, other: Histogram) -> Self:
        for n, count in list(other.counts.items()):
            self.counts[n] = self.counts.get(n, 0) + count
        self.seconds += other.seconds
        return self


class Series(msgspec.Struct):
    """Counts of one *task* in one *queue*: attempts by outcome, how long they waited from due to
    start, and how long they ran."""

    queue: str
    task: str
    outcomes: dict[str, int] = {}
    waited: Histogram = msgspec.field(default_factory=Histogram)
    ran: Histogram = msgspec.field(default_factory=Histogram)

    def count(self, outcome: str, number: int = 1) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + number

    def __iadd__(self, other: Series) -> Self:
        for outcome, count in list(other.outcomes.items()):
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count
        self.waited += other.waited
        self.ran += other.ran
        return self


ANSWERS: Final = ("confirmed", "returned", "refused", "unknown")


class Outgoing(msgspec.Struct):
    """The counts of an outlet: messages sent, each try counted; how many are *flying* now; the
    broker's answers, and how long it took to *answer*."""

    sent: int = 0
    flying: int = 0
    answers: dict[str, int] = {}
    answered: Histogram = msgspec.field(default_factory=Histogram)

    def count(self, answer: str, number: int = 1) -> None:
        self.answers[answer] = self.answers.get(answer, 0) + number

    def __iadd__(self, other: Outgoing) -> Self:
        self.sent += other.sent
        self.flying += other.flying
        for answer, count in list(other.answers.items()):
            self.count(answer, count)
        self.answered += other.answered
        return self


class Incoming(msgspec.Struct):
    """The counts of an inlet: messages *received* from its broker, and those *taken*, which are
    jobs now. Of the taken ones, *unnamed* had no id, *duplicates* were jobs before, *poison* could
    not be read."""

    received: int = 0
    taken: int = 0
    unnamed: int = 0
    duplicates: int = 0
    poison: int = 0

    def __iadd__(self, other: Incoming) -> Self:
        self.received += other.received
        self.taken += other.taken
        self.unnamed += other.unnamed
        self.duplicates += other.duplicates
        self.poison += other.poison
        return self


class Bridge(msgspec.Struct):
    """An outlet or an inlet in one process: for how many seconds its broker has been *away* (in a
    sum, the longest); whether an inlet is *paused*; the counts of what went *out* or came *into*
    it."""

    name: str
    inlet: bool = False
    away: float = 0.0
    paused: bool = False
    out: Outgoing = msgspec.field(default_factory=Outgoing)
    into: Incoming = msgspec.field(default_factory=Incoming)

    def __iadd__(self, other: Bridge) -> Self:
        self.away = max(self.away, other.away)
        self.paused |= other.paused
        self.out += other.out
        self.into += other.into
        return self

    def gone(self) -> Bridge:
        """The figures that stay when its process has ended: the counts."""
        out = msgspec.structs.replace(self.out, flying=0)
        return msgspec.structs.replace(self, away=0.0, paused=False, out=out)


class Figures(msgspec.Struct):
    """The counts of worker processes, and their present state: *running* jobs by queue, and *lag*,
    the longest recent delay of the event loop in seconds."""

    series: list[Series] = []
    lost: int = 0
    running: dict[str, int] = {}
    slots: int = 0
    lag: float = 0.0
    bridges: list[Bridge] = []


def added_since(before: Series, now: Series) -> Series:
    """Return the difference of *now* and the earlier *before*, as a new value."""
    outcomes = _more(before.outcomes, now.outcomes)
    waited, ran = now.waited.since(before.waited), now.ran.since(before.ran)
    return Series(now.queue, now.task, outcomes, waited, ran)


def _more(before: dict[K, int], now: dict[K, int]) -> dict[K, int]:
    grown = ((key, count - before.get(key, 0)) for key, count in list(now.items()))
    return {key: count for key, count in grown if count}


def added(all_figures: Iterable[Figures]) -> Figures:
    """Return the sum; the lag is the longest."""
    total = Figures()
    series: dict[tuple[str, str], Series] = {}
    bridges: dict[tuple[str, bool], Bridge] = {}
    for figures in all_figures:
        for each in figures.series:
            key = each.queue, each.task
            if key not in series:
                series[key] = Series(*key)
            series[key] += each
        for bridge in figures.bridges:
            which = bridge.name, bridge.inlet
            if which not in bridges:
                bridges[which] = Bridge(*which)
            bridges[which] += bridge
        total.lost += figures.lost
        total.slots += figures.slots
        total.lag = max(total.lag, figures.lag)
        for queue, running in figures.running.items():
            total.running[queue] = total.running.get(queue, 0) + running
    total.series = [series[key] for key in sorted(series)]
    total.bridges = [bridges[which] for which in sorted(bridges)]
    return total
