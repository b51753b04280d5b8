"""Who is alive: what a worker says of itself, what others see of it, and who believes what.

Two things show others that a worker lives:

* its **session** holds a lock (in Redis, a subscription), and when the process dies, the kernel
  closes the session. So a death shows within a second or two, however busy the interpreter was;
* its **signs of life** (``alive``) say that its event loop still turns. They are a transaction of
  their own: a job table that is locked for an hour must not make a worker look dead.

What becomes of it::

    well ── its session is gone ──> suspected ── gone for `patience` ──> dead
     │  <── it is back, or it spoke ──┘
     └── the same last sign of life for `frozen_after` of watching ────> dead (frozen)

The leader's Rescuer judges, every second, and measures time by its own monotonic clock alone. The
store's clock may be changed. A machine may be suspended, or the server stopped, for an hour: then
no worker can give signs of life, and its silence means nothing. So *frozen* is

    the sum of the gaps between looks that saw the same beat, each at most LONGEST_GAP_SECONDS, in
    one unbroken series of looks that the store answered  >=  frozen_after

A failed look begins the series anew, and so does a new session of the rescuer: then all workers
have the full time again to give a sign of life. No worker whose session lives is declared dead
sooner. A beat is only compared with the one before, never subtracted from it, so the store's clock
does not matter.

When the rescuer's own session was lost, the others' may have been too: for GRACE_SECONDS no worker
that has not come *back* since counts as dead for its missing session (see `Grace`). After a start
of the server the store itself grants such a time, as a new rescuer cannot know of that start. The
store ignores instants in the future: the clock was ahead then.

The store takes a dead worker's jobs only if the evidence still holds: the beat is the same, the
lock still free. A job that another transaction holds is passed over, and the worker's row stays
until its last job is taken. While somebody holds that row itself, the worker cannot give a sign of
life, and nobody can note that it is suspected. Then its silence means nothing, and the rescuer's
clock measures how long its session has been gone.

A worker is certain that nobody took it for dead for `frozen_after`, counted from when it *began* to
give the last sign that the store has. That time ends before any rescuer can have watched its
silence for as long. When its session breaks, it is uncertain until the store has another sign, if
need be on another connection, as of a worker without a session. While it is uncertain, it claims
nothing, and starts no job that it has claimed. After HELPLESS_SECONDS of that it hands back the
jobs that it has not started: nobody can take them from a worker whose row is held, and the row may
be held for hours.
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
        self.helpless = False  # uncertain for so long that we hold no job that we have not started
        self.regained: Callable[[], None] = lambda: None  # called when we may be certain again
        self.lapsed: Callable[[], None] = lambda: None  # called after a while of uncertainty

    @property
    def certain(self) -> bool:
        """Whether nobody can have taken us for dead yet."""
        return monotonic() < self._until

    def heard(self, asked_at: float) -> None:
        """The store has our sign of life, which we began to give at *asked_at* (monotonic)."""
        self._until = asked_at + self._frozen_after
        self._heard.set()
        self.helpless = False
        self._lapses_in(self._until - monotonic() + HELPLESS_SECONDS)
        self.regained()

    def doubt(self) -> None:
        """Our session is gone: a rescuer that sees it may take us for dead within a second."""
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
    """Which workers are *spared* after the rescuer's own session was lost: they may still come
    back.

    A worker that is back has its session again, so if that is missing later, the worker is dead. A
    worker seen with its session since our new session began is back. If a restart or a failover of
    the server ended our session, a worker is also back once it has noted, under the present run of
    the server, that it has a session, whether we saw that session or not: a follower that takes
    over after the leader's death has seen nobody. Runs are compared by name, never by order, so no
    clock matters. After any other loss (a network, a proxy, an administrator) such a note may be
    older than the loss, and proves nothing.

    A new process, too, spares workers without such a note under the present run: after a failover
    the store does not know that workers have to find the server first.
    """

    def __init__(self, now: float) -> None:
        self._until = now + GRACE_SECONDS
        self._words_count = True
        self._seen: set[int] = set()

    def begins(self, now: float, *, restarted: bool) -> None:
        """Our own session was lost and is new; *restarted*: the server was restarted, too."""
        self._until = now + GRACE_SECONDS
        self._words_count = restarted
        self._seen = set()

    def saw(self, sightings: Collection[Sighting], now: float) -> set[int]:
        """Adds a look; returns the ids of the workers that are spared."""
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
    """One unbroken series of looks: for how long each worker was silent, or its session gone."""

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
        """Somebody held the rows of *workers*, so they could give no sign of life: their silence
        counts from now on."""
        for worker in workers:
            self._silence.pop(worker, None)

    @property
    def frozen(self) -> dict[int, str]:
        """The workers that were silent for too long, with the last beat of each."""
        return {
            worker: beat
            for worker, (beat, silent) in self._silence.items()
            if silent >= self._frozen_after
        }

    def gone(self, patience: float) -> set[int]:
        """The workers whose session was missing at each look for *patience* seconds."""
        return {worker for worker, seconds in self._gone.items() if seconds >= patience}
