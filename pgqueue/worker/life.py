"""Who is alive: what a worker says of itself, what others see of it, and who believes what.

Others see by two things that a worker lives:

* its **session** holds a lock (in Redis, a subscription), and when the process dies, the kernel
  closes the session. So a death shows within a second or two, however busy the interpreter was;
* its **signs of life** (``alive``) say that its event loop still turns. They are a transaction of
  their own: a job table that is locked for an hour must not make a worker look dead.

What becomes of it::

    well ── its session is gone ──> suspected ── gone for `patience` ──> dead
     │  <── it is back, or it spoke ──┘
     └── the same last sign of life for `frozen_after` of watching ────> dead (frozen)

The leader's Rescuer judges, every second, and measures time by its own monotonic clock alone. The
store's clock may be set. A machine may be suspended, or the server be stopped, for an hour: nobody
can speak then, and nobody's silence means anything. So *frozen* is

    the sum of the gaps between looks that saw the same beat, each at most LONGEST_GAP_SECONDS, in
    one unbroken series of looks that the store answered  >=  frozen_after

A look that fails begins the series anew, and so does a new session of the rescuer's own: then all
workers have the full time again to speak. No worker whose session lives is taken for dead sooner. A
beat is only compared with the beat before, never subtracted, so it does not matter what the store's
clock showed when it was written.

When the rescuer's own session was lost, the others' may have been too: for GRACE_SECONDS nobody is
dead for the lack of one who has not been *back* since (see `Grace`). After a start of the server
the store keeps such a time itself, as a rescuer that was not there cannot know. It ignores instants
in the future: the clock was ahead.

The store carries the sentence out, and only if it still holds: the beat is the same, the lock still
free. A job that somebody else holds is passed over, and the worker's row stays until its last job
is taken. While somebody holds that row itself, the worker cannot speak, and nobody can note that it
is suspected: then its silence means nothing, and that its session is gone is counted by the
rescuer's clock, too.

A worker believes that it lives for `frozen_after`, counted from when it *began* to give the last
sign that was heard. That ends before any rescuer can have watched its silence for so long. When its
session breaks, it believes so no longer, until it was heard again; if need be on another
connection, as a worker without a session. While it does not believe so, it claims nothing, and
starts nothing that it has claimed. What it has claimed and not started, it hands back when that
goes on for HELPLESS_SECONDS: nobody can take it from a worker whose row is held, and whoever holds
that may hold it for hours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from math import inf
from time import monotonic
from typing import Final

from pgqueue.operations import Sighting
from pgqueue.worker.service import happens

GRACE_SECONDS: Final = 10.0
LONGEST_GAP_SECONDS: Final = 2.0
HELPLESS_SECONDS: Final = 1.0


class Life:
    """What a worker may believe of itself."""

    def __init__(self, frozen_after: float) -> None:
        self._frozen_after = frozen_after
        self._until = -inf
        self._heard = asyncio.Event()
        self._lapse: asyncio.TimerHandle | None = None
        self.helpless = False  # for so long that we hold nothing that we have not started
        self.regained: Callable[[], None] = lambda: None  # called when we may be certain again
        self.lapsed: Callable[[], None] = lambda: None  # and when we have not been for a while

    @property
    def certain(self) -> bool:
        """Whether nobody can have taken us for dead yet."""
        return monotonic() < self._until

    def heard(self, asked_at: float) -> None:
        """The store has our sign of life, which we began to give at *asked_at*."""
        self._until = asked_at + self._frozen_after
        self._heard.set()
        self.helpless = False
        self._lapses_in(self._until - monotonic() + HELPLESS_SECONDS)
        self.regained()

    def doubt(self) -> None:
        """Our session is gone: whoever sees that may take us for dead within a second."""
        self._until = -inf
        self._lapses_in(HELPLESS_SECONDS)

    async def certainly(self) -> None:
        """Returns as soon as we are certain."""
        while not self.certain:
            self._heard.clear()
            await happens(self._heard, None)

    def _lapses_in(self, seconds: float) -> None:
        """Calls `lapsed` then, unless we are certain again."""
        if self._lapse is not None:
            self._lapse.cancel()
        self._lapse = asyncio.get_running_loop().call_later(seconds, self._tell)

    def _tell(self) -> None:
        if not self.certain:
            self.helpless = True
            self.lapsed()


class Grace:
    """Who may still come back, after the rescuer's own session was lost: who is *spared*.

    Who is back has its session again, so the lack of one is a death like any other. Who has been
    seen with its session since ours is new is back. If what ended ours was a start of the server,
    or a failover, so is who has said under the present run of the server that it has a session,
    whether we saw it or not: a follower that takes over after the leader's death has seen nobody.
    Runs are told apart by what they are called, never by their order, so no clock matters.
    Otherwise (a network, a proxy, an administrator) such a word may be older than the loss, and
    says nothing.

    Who has not said so under the present run is spared by a process that is new, too: after a
    failover the store does not know that others have to find the server first.
    """

    def __init__(self, now: float) -> None:
        self._until = now + GRACE_SECONDS
        self._words_count = True
        self._seen: set[int] = set()

    def begins(self, now: float, *, restarted: bool) -> None:
        """Our own session was lost and is new; *restarted*: as the server has been."""
        self._until = now + GRACE_SECONDS
        self._words_count = restarted
        self._seen = set()

    def saw(self, sightings: Collection[Sighting], now: float) -> set[int]:
        """Adds a look; answers who is spared."""
        if now >= self._until:
            self._seen.clear()
            return set()
        self._seen &= {each.worker for each in sightings}
        self._seen |= {each.worker for each in sightings if each.well}
        return {
            each.worker
            for each in sightings
            if each.worker not in self._seen and not (each.back and self._words_count)
        }


class Watch:
    """How long each worker has been silent, or its session gone, while we saw the store work: one
    series of looks."""

    def __init__(self, frozen_after: float) -> None:
        self._frozen_after = frozen_after
        self._looked_at = -inf
        self._silence: dict[int, tuple[str, float]] = {}
        self._gone: dict[int, float] = {}

    def saw(self, sightings: Iterable[Sighting], now: float) -> None:
        """Adds a look that was answered; *now*: our monotonic clock, before we asked."""
        passed = min(max(0.0, now - self._looked_at), LONGEST_GAP_SECONDS)
        self._looked_at = now
        before, self._silence = self._silence, {}
        gone, self._gone = self._gone, {}
        for worker, beat, well, _ in sightings:
            known, silent = before.get(worker, (beat, -passed))
            self._silence[worker] = beat, silent + passed if beat == known else 0.0
            if not well:
                self._gone[worker] = gone.get(worker, -passed) + passed

    def spared(self, workers: Iterable[int]) -> None:
        """Somebody held their rows, so they could not speak: their silence counts from now on."""
        for worker in workers:
            self._silence.pop(worker, None)

    @property
    def frozen(self) -> dict[int, str]:
        """Who was silent for too long, with the last beat of each."""
        return {
            worker: beat
            for worker, (beat, silent) in self._silence.items()
            if silent >= self._frozen_after
        }

    def gone(self, patience: float) -> set[int]:
        """Whose session was missing at each look for so long."""
        return {worker for worker, seconds in self._gone.items() if seconds >= patience}
