"""One worker process: its agents, in the order in which they start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Coroutine
from math import isfinite
from time import monotonic
from typing import TYPE_CHECKING, Any

from pgqueue import operations
from pgqueue.errors import PgqueueError, SchemaOutOfDate, StoreBusy, StoreUnavailable
from pgqueue.jobs.tally import Bridge
from pgqueue.operations import inspections
from pgqueue.worker.assembly import assemble, profile, unserved
from pgqueue.worker.connection import TROUBLE
from pgqueue.worker.home import check_home
from pgqueue.worker.options import Options
from pgqueue.worker.running.leaving import GOING_SECONDS, MARGIN_SECONDS, Deadline, on_signals
from pgqueue.worker.running.logged import make_printable
from pgqueue.worker.running.watchdog import Watchdog
from pgqueue.worker.service import Service, log
from pgqueue.worker.telemetry.exposition import exposition
from pgqueue.worker.telemetry.meter import Meter
from pgqueue.worker.telemetry.probes import Probes
from pgqueue.worker.telemetry.relay import Relay
from pgqueue.worker.telemetry.store import StoreMeter
from pgqueue.worker.telemetry.systemd import Systemd
from pgqueue.worker.telemetry.vitals import WorkerVitals

if TYPE_CHECKING:
    from pgqueue.app import App
    from pgqueue.worker.running.run import Run

log.addFilter(make_printable)

LAST_WORD_SECONDS = 5.0  # for a claim or a completion under way when we stop
LAST_EVENTS_SECONDS = 1.0  # for handlers of events, when the last job has ended


class Worker:
    """Runs the jobs of some queues. Three connections: claims, completions, and the session; and
    while the leader tidies up, one more.

    `run` works until it is cancelled, `stop` is called, or, with *drain*, nothing is left that
    could run now. *systemd* and, over *relay*, the supervisor are told the worker's state, if they
    started it.
    """

    def __init__(
        self,
        app: App,
        options: Options | None = None,
        *,
        systemd: Systemd | None = None,
        relay: Relay | None = None,
    ) -> None:
        self._app = app
        self._options = options or Options()
        self._stop_asked = asyncio.Event()
        self._stop_now = asyncio.Event()
        self.started = asyncio.Event()
        self.id: int | None = None
        self.stuck = False
        self._deadline: Deadline | None = None
        self._watchdog = Watchdog()
        self._systemd = systemd
        self._relay = relay
        self.probes: Probes | None = None

    def stop(self) -> None:
        """Claims nothing more, lets jobs finish within the grace period; asked again: now."""
        if self._stop_asked.is_set():
            self._stop_now.set()
        self._stop_asked.set()

    async def run(self) -> None:
        """Works. Raises SchemaMissing, SchemaOutOfDate, NotAtHome, InvalidTask before anything has
        started."""
        self._app.prepare()
        self._profile = profile(self._app, self._options)
        meter = self._meter()
        self._agents = assemble(
            self._app, self._options, self._profile, self._stop_asked.set, meter
        )
        interval = self._options.heartbeat_interval
        self._vitals = WorkerVitals(self._watchdog.silence, self._agents.health, interval)
        store = StoreMeter(self._app)
        self.probes = Probes(
            self._vitals,
            self._options,
            self._systemd,
            lambda: exposition(meter.figures(), store.figures()),
        )
        with self.probes:
            self._watchdog.start()
            if self._relay is not None:
                self._relay.start(self._vitals, meter, store)
            try:
                await self._run()
            finally:
                self._watchdog.stop()
                if self._relay is not None:
                    await self._relay.stop()

    def _meter(self) -> Meter:
        slots = self._options.concurrency
        return Meter(self._app, slots, self._watchdog.lag, self._runs, self._bridges)

    def _runs(self) -> list[Run]:
        return self._agents.executor.runs()

    def _bridges(self) -> list[Bridge]:
        return [each for agent in self._agents.bridges for each in agent.figures()]

    async def _run(self) -> None:
        joining = asyncio.ensure_future(self._join())
        stopping = asyncio.ensure_future(self._stop_asked.wait())
        try:
            limit = self._options.start_timeout
            await asyncio.wait(
                {joining, stopping},
                timeout=limit if isfinite(limit) else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if joining.done():
                joining.result()
                self._start()
                await stopping
            elif not stopping.done():
                raise StoreUnavailable(
                    f"no database within {limit:g} s: {self._agents.health.reason}"
                )
        finally:
            await self._leave(joining, stopping)

    async def _join(self) -> None:
        """Enters the cluster, as soon as the database is there."""
        await self._agents.claims.open()
        await self._check_schema()
        await check_home(self._agents.claims, self._app.backend, self._app.environment)
        await self._agents.declarer.declare_limits()
        await self._agents.completions.open()
        membership = await self._agents.listener.join()
        self.id = membership.worker
        await self._check_place()
        await self._agents.declarer.declare_schedules()
        with contextlib.suppress(StoreUnavailable):
            # Without a first sign of life, a death with the first job would not show soon.
            await self._agents.heartbeater.beat()

    def _start(self) -> None:
        for service in self._agents.services:
            service.start()
        self._vitals.joined = True
        log.info(
            "worker %d started: %s; queues %s, concurrency %d, tasks %s",
            self.id,
            self._profile["name"],
            ", ".join((*self._options.queue_concurrency, *self._options.patterns)),
            self._options.concurrency,
            ", ".join(sorted(self._app.tasks)) or "none",
        )
        if left := unserved(self._app, self._options):
            log.info(
                "queues that are not served here: %s; --queues says which are",
                ", ".join(f"{queue} ({', '.join(tasks)})" for queue, tasks in left.items()),
            )
        self.started.set()

    def handle_signals(self, deadline: Deadline, *, supervised: bool = False) -> None:
        """SIGTERM and SIGINT stop the worker, in good order; the second one, and SIGQUIT, at once.

        *supervised*: only SIGQUIT does, as the supervisor passes on what we may have had already.

        *deadline* ends the process if the event loop is blocked and does not even notice the
        signal.
        """
        loop = asyncio.get_running_loop()
        stopping = False

        def told(number: int) -> None:
            nonlocal stopping
            at_once = number == getattr(signal, "SIGQUIT", None) or (stopping and not supervised)
            if at_once or not stopping:
                stopping = True
                deadline.by((0 if at_once else self._options.grace) + MARGIN_SECONDS, 1)
                loop.call_soon_threadsafe(self._signalled, number, at_once)

        self._deadline = deadline
        on_signals(told)

    def _signalled(self, number: int, at_once: bool) -> None:
        what = "stopping now" if at_once else "finishing what runs"
        log.info("%s: %s", signal.Signals(number).name, what)
        self.stop()
        if at_once:
            self.stop()

    async def _check_schema(self) -> None:
        found = await self._agents.claims.insist(inspections.version(), on=TROUBLE)
        needed = self._app.backend.head
        if found is None or found < needed:
            raise SchemaOutOfDate(
                f"the schema {self._app.schema} is at version {found}, this worker needs {needed}; "
                "run `pgqueue migrate`"
            )

    async def _check_place(self) -> None:
        """Raises PgqueueError if the session leads to another place than the other connections:
        live workers would look dead there, and dead ones alive."""
        ours = tuple(self._profile[key] for key in ("name", "host", "pid"))
        for worker in await self._agents.claims.insist(inspections.workers(), on=TROUBLE):
            if worker.id == self.id and (worker.name, worker.host, worker.pid) == ours:
                return
        raise PgqueueError("listen_url leads to another database than url, or to another schema")

    async def _leave(self, *waits: asyncio.Future[Any]) -> None:
        """Shuts down, in whatever way we were stopped. Being cancelled meanwhile hurries it, as a
        second signal does; it is over within seconds, and only then are we cancelled."""

        async def leave() -> None:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
            await self._shut_down()

        leaving = asyncio.ensure_future(leave())
        cancelled = False
        while not leaving.done():
            try:
                await asyncio.shield(leaving)
            except asyncio.CancelledError:
                cancelled = True
                self._stop_now.set()
        leaving.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _shut_down(self) -> None:
        """Stops claiming, lets jobs finish, hands back those that do not, and leaves the cluster
        if it holds nothing any more."""
        agents = self._agents
        self._vitals.stopping = True
        grace_until = monotonic() + self._options.grace
        empty_handed = await self._ends(agents.fetcher.stop(), 0, LAST_WORD_SECONDS)
        if not empty_handed:
            await Service.stop(agents.fetcher)
        agents.executor.stop()
        if not await self._ends(agents.executor.finish(), grace_until - monotonic()):
            if not self._stop_now.is_set():
                log.warning(
                    "%d jobs are still running after the grace period; handing them back",
                    len(agents.executor.leases()),
                )
            self._expect_the_end()
            await agents.executor.hand_back()
        empty_handed &= agents.fetcher.empty_handed
        left = grace_until - monotonic()
        if left > 0:
            self._expect_the_end(left)
        empty_handed &= await self._ends(agents.completer.finish(), left, LAST_WORD_SECONDS)
        if agents.announcer is not None:
            await self._ends(agents.announcer.finish(), LAST_EVENTS_SECONDS)
        if self.id is not None:
            with contextlib.suppress(StoreUnavailable, StoreBusy, TimeoutError):
                async with asyncio.timeout(1):
                    await agents.tallier.note()
        await agents.elector.stop()
        await agents.heartbeater.stop()
        if self.id is not None and empty_handed:  # else we stay listed, and our jobs are rescued
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(2):
                    await agents.listener.line.execute(operations.leave(agents.listener.worker))
        for service in reversed(agents.services):
            await service.stop()
        agents.processes.close()
        self.stuck = agents.threads.close()
        for line in (agents.claims, agents.completions, agents.listener.line):
            await line.close()
        await self._app.close_async()
        if self.id is not None:
            log.info("worker %d stopped; %d jobs", agents.listener.worker, agents.executor.finished)

    def _expect_the_end(self, later: float = 0) -> None:
        """Moves the deadline: the event loop is not blocked, and will be done soon."""
        if self._deadline is not None:
            self._deadline.by(later + GOING_SECONDS, 1)

    async def _ends(
        self, work: Coroutine[Any, Any, None], seconds: float, last_word: float = 0
    ) -> bool:
        """Wait for *work*, at most *seconds*, and return whether it ended by itself.

        A second signal to stop ends this wait early. Either way *work* has *last_word* seconds
        more; then it is cancelled.
        """
        working = asyncio.ensure_future(work)
        hurry = asyncio.ensure_future(self._stop_now.wait())
        await asyncio.wait(
            {working, hurry}, timeout=max(0, seconds), return_when=asyncio.FIRST_COMPLETED
        )
        hurry.cancel()
        await asyncio.wait({working}, timeout=last_word)
        ended = working.done()
        working.cancel()
        await asyncio.gather(working, hurry, return_exceptions=True)
        return ended


def spare_the_collector() -> None:
    """Make Python's garbage collector run less often, for a process that does nothing but jobs.

    By default it runs after 700 new objects, and now and then looks at all objects. But imported
    modules are no garbage, and a worker makes and frees hundreds of objects at a time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop where it is installed, a third faster; otherwise asyncio's own."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()
