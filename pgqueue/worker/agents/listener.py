"""The Listener: the worker's session, which is its ear and its life."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pgqueue import operations
from pgqueue.backends.base import AsyncOperationRunner, Backend
from pgqueue.errors import StoreBusy, StoreUnavailable
from pgqueue.operations import Membership, Released
from pgqueue.operations.topics import DUE
from pgqueue.operations.workers import Asked
from pgqueue.worker.connection import TROUBLE, Health, ReconnectingConnection
from pgqueue.worker.service import Service, happens, log

PRESENCE_RETRY_SECONDS = 0.5
DEAF_POLL_SECONDS = 1.0
MOST_TOPICS = 250  # each is a lock; by default a server has room for 6,400, of all its sessions
FAILURES = 3  # in a row, before it is worth a warning


class Listener(Service):
    """Hears the notifications that wake us, and tells those who enqueue which topics we sleep on.

    After a reconnect it wakes everything, as notifications sent meanwhile are lost. It tries to
    take the presence lock until it has it. Until then an earlier session of ours, which the server
    has not yet found dead, may hold the lock, and shows that we are present.
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
        self.line = ReconnectingConnection(
            "session", self._session, health, self._opened, self._broken
        )
        self._profile = profile
        self._look = look
        self._topics: set[str] = set()
        self._declared: set[str] = set()
        self._failures = 0
        self._said_too_many = False
        self._running = False
        self._changed = asyncio.Event()
        self.membership: Membership | None = None
        self.present = False
        self.hears = True
        self.cut: Callable[[], None] = lambda: None  # called when the session breaks
        self.drops: list[Callable[[], int]] = []  # called when no job in hand is ours any more
        self.declare: Callable[[AsyncOperationRunner], Awaitable[None]] | None = None  # joined anew
        self.store_id: str | None = None
        self._server: str | None = None
        self._found: str | None = None  # the server's run at a session that is not yet in use
        self.restarted = False  # whether the previous session belonged to another server run
        self.beats = 0
        self.asked: Asked | None = None  # by people; stays when we join anew
        self._dropped = 0

    @property
    def worker(self) -> int:
        """Our identity: new at each start, and never anybody else's."""
        assert self.membership is not None, "join comes first"
        return self.membership.worker

    def wakes(self, topic: str) -> bool:
        """Whether those who enqueue know that we sleep on *topic*. If not, we must look often."""
        return self.hears and topic in self._declared

    async def join(self) -> Membership:
        """Enters the cluster."""
        self.membership = await self.line.insist(operations.join(self._profile), on=TROUBLE)
        if "whereabouts" in self._backend.capabilities:
            found = await self.line.insist(operations.whereabouts(), on=TROUBLE)
            self.store_id, self._server = found.store_id, found.server
        try:
            self.present = await self._session.present(self.worker)
            await self._declare(set())
        except StoreUnavailable as error:  # `run` does this again when it has connected anew
            self.line.lost(error)
        except StoreBusy:
            self._changed.set()
        return self.membership

    async def recognise(self, line: AsyncOperationRunner) -> None:
        """Raises StoreUnavailable when the store behind *line* is not the one we joined, or one
        that has gone back to before our last sign of life; then joins it anew.

        Called for each opened connection, and before each sign of life, which would insert our row.
        """
        if (stranger := await self._stranger(line)) is not None:
            error = StoreUnavailable(stranger)
            self.line.lost(error)
            if not self._running:  # while the worker starts nobody else opens it again
                await self.line.open()
            raise error

    async def _stranger(self, line: AsyncOperationRunner) -> str | None:
        """Why the store does not know us; None if it does."""
        if self.store_id is None or self.membership is None:
            return None
        worker, beats = self.worker, self.beats  # now: they may change before the answer comes
        found = await line.execute(operations.whereabouts(worker))
        if line is self._session:
            self._found = found.server
        if found.moved:
            raise StoreUnavailable("another copy of the queue answers there; see `pgqueue adopt`")
        if found.store_id != self.store_id:
            return "the store is another one"
        if worker != self.worker:
            return None
        if found.beats is None:
            return "the store does not know us: it is an older one, or took us for dead"
        if found.beats < beats:
            return "the store is an older one"
        return None

    async def _join_anew(self, why: str) -> None:
        """The jobs in hand are nobody's, or another worker's by now: we finish none of them.

        The store may at once give others the jobs that it holds for our former id: we had them at
        that time, or have claimed them since without noticing.
        """
        before = self.worker
        self._dropped += sum([drop() for drop in self.drops])
        held = await self._session.execute(operations.recollect(before))
        if held:
            await self._session.execute(
                operations.release([Released(id, lease) for id, lease in sorted(held)])
            )
        await self._session.execute(operations.leave(before))
        if self.declare is not None:
            # First, as we may claim once joined: an older store may lack limits and schedules.
            await self.declare(self._session)
        membership = await self._session.execute(operations.join(self._profile))
        if self.asked is not None:  # before anybody here reads what is asked of our new id
            await self._session.execute(operations.direct([membership.worker], self.asked))
        self.membership = membership
        self.store_id = (await self._session.execute(operations.whereabouts())).store_id
        self.beats = 0
        dropped, self._dropped = self._dropped, 0
        log.warning(
            "%s; worker %d has dropped its %d jobs and goes on as worker %d",
            *(why, before, dropped, self.worker),
        )

    def sleep_on(self, topic: str) -> None:
        """Soon notifications of *topic* wake us, unless too many topics do already: each takes one
        of the server's locks."""
        if topic not in self._topics:
            if len(self._topics) >= MOST_TOPICS and topic != DUE:
                self._say_too_many()
                return
            self._topics.add(topic)
            self._changed.set()

    def rise_from(self, topic: str) -> None:
        """We look for *topic* by ourselves: nobody needs to notify us."""
        if topic in self._topics:
            self._topics.discard(topic)
            self._changed.set()

    async def run(self) -> None:
        """Declares what changed. Whoever falls asleep is woken once after that, since what was
        enqueued just before notified nobody.

        What the store did not accept, for whatever reason, is declared again at the next turn.
        """
        self._running = True
        while True:
            waits = self.present or self.membership is None or not self.hears
            timeout = None if waits else PRESENCE_RETRY_SECONDS
            await happens(self._changed, timeout)
            self._changed.clear()
            try:
                await self.line.open()
                if self.hears and not self.present and self.membership is not None:
                    self.present = await self._session.present(self.worker)
                await self._declare(set(self._topics))
            except StoreUnavailable as error:
                self.line.lost(error)
                raise
            except BaseException:
                self._changed.set()
                raise

    async def _declare(self, topics: set[str]) -> None:
        """Tells the store on which topics we sleep. Logs, once, if nobody can wake us here."""
        new, self._declared = topics - self._declared, set()
        try:
            hears = await self._session.subscribe(topics)
        except StoreBusy as busy:
            self._failures += 1
            if self._failures == FAILURES:
                log.warning(
                    "nobody can wake us for now, so we look for jobs every %g s: %s",
                    *(DEAF_POLL_SECONDS, busy),
                )
            raise
        if self._failures >= FAILURES:
            log.info("we can be woken again")
        self._failures = 0
        if self.hears and not hears:
            self._say_deaf()
        self.hears = hears
        self._declared = topics
        for topic in new:
            self._look(topic)

    def _say_too_many(self) -> None:
        if not self._said_too_many:
            self._said_too_many = True
            log.warning(
                "so many queues that not all of them wake us: %d do, in the others we look for"
                " jobs every %g s",
                *(MOST_TOPICS, DEAF_POLL_SECONDS),
            )

    def _say_deaf(self) -> None:
        """Logs that nobody can wake us: as a warning only where the store itself could."""
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
        self.line.answered()

    async def _opened(self) -> None:
        if self.membership is not None:
            if (why := await self._stranger(self._session)) is not None:
                await self._join_anew(why)
            self.present = await self._session.present(self.worker)
            self.restarted, self._server = self._found != self._server, self._found
            self._look(None)
        self._changed.set()

    def _lost(self) -> None:
        self.line.lost(StoreUnavailable("it was closed while it was idle"))

    def _broken(self) -> None:
        """Has `run` connect anew at once: until then we hear nothing, and look dead."""
        self.present = False
        self._declared.clear()
        self._changed.set()
        self.cut()
