"""The Listener: the worker's session, which is its ear and its life."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pgqueue import operations
from pgqueue.backends.base import Backend
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Membership
from pgqueue.worker.line import Health, Line
from pgqueue.worker.service import Service, happens, log

PRESENCE_RETRY_SECONDS = 0.5
DEAF_POLL_SECONDS = 1.0


class Listener(Service):
    """Hears what wakes us, and tells those who enqueue which topics we sleep on.

    After a reconnect everything is woken: what was said meanwhile is gone. The presence lock is
    taken again until it is ours; while an earlier, half-dead session of ours holds it, that one
    speaks for us.
    """

    def __init__(
        self,
        backend: Backend,
        profile: dict[str, object],
        health: Health,
        woken: Callable[[str], None],
        look: Callable[[str | None], None],
    ) -> None:
        self._backend = backend
        self._session = backend.session(woken, self._lost)
        self.line = Line("session", self._session, health, self._opened, self._broken)
        self._profile = profile
        self._look = look
        self._topics: set[str] = set()
        self._changed = asyncio.Event()
        self.membership: Membership | None = None
        self.present = False
        self.hears = True

    @property
    def worker(self) -> int:
        """Our identity: new at each start, and never anybody else's."""
        assert self.membership is not None, "join comes first"
        return self.membership.worker

    async def join(self) -> Membership:
        """Enters the cluster."""
        self.membership = await self.line.insist(operations.join(self._profile))
        try:
            self.present = await self._session.present(self.worker)
            await self._declare(set())
        except StoreUnavailable as error:  # once there is a line again, `run` asks again
            self.line.lost(error)
        return self.membership

    def sleep_on(self, topic: str) -> None:
        """From soon on, *topic* wakes us."""
        if topic not in self._topics:
            self._topics.add(topic)
            self._changed.set()

    def rise_from(self, topic: str) -> None:
        """We look for *topic* by ourselves: nobody needs to notify us."""
        if topic in self._topics:
            self._topics.discard(topic)
            self._changed.set()

    async def run(self) -> None:
        """Declares what changed; whoever falls asleep is woken once, to look and then trust."""
        known: set[str] = set()
        while True:
            waits = self.present or self.membership is None or not self.hears
            timeout = None if waits else PRESENCE_RETRY_SECONDS
            await happens(self._changed, timeout)
            self._changed.clear()
            await self.line.open()
            if self.hears and not self.present and self.membership is not None:
                self.present = await self._session.present(self.worker)
            wanted = set(self._topics)
            await self._declare(wanted)
            for topic in wanted - known:
                self._look(topic)
            known = wanted

    async def _declare(self, topics: set[str]) -> None:
        """Says on what we sleep, where somebody can wake us; once, that nobody can."""
        hears = await self._session.sleep(topics)
        if self.hears and not hears:
            self._say_deaf()
        self.hears = hears

    def _say_deaf(self) -> None:
        """A store that wakes nobody is none the worse for it; one that could is worth a warning."""
        death = ", and our death will show by missing heartbeats only"
        if "push" in self._backend.capabilities:
            log.warning(
                "no session of our own here, a pooler is in the way: we look for jobs every %g s"
                "%s; give listen_url a direct way to the database",
                *(DEAF_POLL_SECONDS, death),
            )
        else:
            log.info(
                "%s wakes nobody: we look for jobs every %g s%s",
                *(self._backend.store, DEAF_POLL_SECONDS),
                "" if "sessions" in self._backend.capabilities else death,
            )

    async def check(self) -> None:
        """Finds out whether we still hear; if not, connects anew."""
        try:
            await self._session.check()
        except StoreUnavailable as error:
            self.line.lost(error)
            raise

    async def _opened(self) -> None:
        if self.membership is not None:
            self.present = await self._session.present(self.worker)
            self._look(None)
        self._changed.set()

    def _lost(self) -> None:
        self.line.lost(StoreUnavailable("it was closed while it was idle"))

    def _broken(self) -> None:
        """Connects anew at once: until then we are deaf, and look dead."""
        self.present = False
        self._changed.set()
