"""One worker process: its agents, in the order in which they start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgqueue import inspections, operations
from pgqueue.errors import PgqueueError, SchemaOutOfDate, StoreUnavailable
from pgqueue.worker.completer import Completer
from pgqueue.worker.drainer import Drainer
from pgqueue.worker.elector import Elector
from pgqueue.worker.executor import Executor
from pgqueue.worker.fetcher import Fetcher
from pgqueue.worker.hands import WorkerHands
from pgqueue.worker.heartbeater import Heartbeater
from pgqueue.worker.line import Health, Line
from pgqueue.worker.listener import Listener
from pgqueue.worker.maintenance import DUE, Promoter, Pruner, Rescuer
from pgqueue.worker.options import Options
from pgqueue.worker.processes import ProcessPool
from pgqueue.worker.service import Service, log
from pgqueue.worker.strangers import Strangers
from pgqueue.worker.threads import Threads
from pgqueue.worker.watchdog import Watchdog

if TYPE_CHECKING:
    from pgqueue.app import App

LAST_WORD_SECONDS = 5.0  # for a claim or a completion on its way when we stop


class Worker:
    """Runs the jobs of some queues. Three connections: claims, completions, and the session.

    `run` works until it is cancelled, `stop` is called, or, with *drain*, nothing is left that
    could run now.
    """

    def __init__(self, app: App, options: Options | None = None) -> None:
        self._app = app
        self._options = options or Options()
        self._stop_asked = asyncio.Event()
        self._stop_now = asyncio.Event()
        self.started = asyncio.Event()
        self.id: int | None = None
        self.stuck = False

    def stop(self) -> None:
        """Claims nothing more, lets jobs finish within the grace period; asked again: now."""
        if self._stop_asked.is_set():
            self._stop_now.set()
        self._stop_asked.set()

    async def run(self) -> None:
        """Works. Raises SchemaMissing, SchemaOutOfDate, InvalidTask before anything has started."""
        self._app.prepare()
        self._build()
        joining = asyncio.ensure_future(self._join())
        stopping = asyncio.ensure_future(self._stop_asked.wait())
        try:
            await asyncio.wait({joining, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if joining.done():
                joining.result()
                self._start()
                await stopping
        finally:
            joining.cancel()
            stopping.cancel()
            await asyncio.gather(joining, stopping, return_exceptions=True)
            await asyncio.shield(asyncio.ensure_future(self._shut_down()))

    async def _join(self) -> None:
        """Enters the cluster, as soon as the database is there."""
        await self._claims.open()
        await self._check_schema()
        await self._completions.open()
        membership = await self._listener.join()
        self.id = membership.worker
        await self._check_place()
        with contextlib.suppress(StoreUnavailable):
            await self._heartbeater.beat()  # or our death, with the first job, would not show soon

    def _start(self) -> None:
        for service in self._services:
            service.start()
        self._watchdog.start()
        log.info(
            "worker %d started: %s; queues %s, concurrency %d, tasks %s",
            self.id,
            self._profile["name"],
            ", ".join(self._options.limits),
            self._options.concurrency,
            ", ".join(sorted(self._app.tasks)) or "none",
        )
        self.started.set()

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT stop the worker, in good order; the second one, at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: int) -> None:
        again = self._stop_asked.is_set()
        log.info(
            "%s: %s",
            signal.Signals(number).name,
            "stopping now" if again else "finishing what runs",
        )
        self.stop()

    def _build(self) -> None:
        options, app = self._options, self._app
        backend, keep = app.backend, app.retention.kept()
        host = socket.gethostname()
        self._profile: dict[str, Any] = {
            "name": options.name or f"{host}:{os.getpid()}",
            "host": host,
            "pid": os.getpid(),
            "queues": list(options.limits),
            "started_at": datetime.now(UTC),
            "info": {"concurrency": options.concurrency, "tasks": sorted(app.tasks)},
        }
        health = Health()
        self._claims = Line("claims", backend.lane(durable=False), health)
        self._completions = Line("completions", backend.lane(), health)
        self._listener = Listener(backend, self._profile, health, self._notified, self._look)
        self._hands = WorkerHands(backend, keep, lambda *report: self._completer.report(*report))
        self._completer = Completer(self._completions, keep, self._look)
        self._threads = Threads()
        store = {"url": app.url, "schema": app.schema, "keep": keep}
        self._processes = ProcessPool(app.tasks, store, options.pool_processes, self._threads)
        self._executor = Executor(
            app.tasks,
            self._completer,
            self._hands,
            self._threads,
            self._processes,
            Strangers(self._claims),
            options.concurrency,
        )
        self._fetcher = Fetcher(
            self._claims,
            self._listener,
            self._executor,
            options.limits,
            options.poll_interval,
            options.sleep_after,
        )
        self._heartbeater = Heartbeater(
            self._listener,
            self._executor,
            self._profile,
            options.heartbeat_interval,
            options.frozen_after,
        )
        self._promoter = Promoter(self._listener.line, self._listener, self._fetcher.look)
        look = self._fetcher.look
        self._rescuer = Rescuer(self._listener, keep, app.max_rescues, options.frozen_after, look)
        pruner = Pruner(self._listener, app.retention, look)
        self._elector = Elector(
            self._listener, options.term, (self._promoter, self._rescuer, pruner)
        )
        drainer = Drainer(
            self._claims, self._fetcher, self._executor, self._completer, self._stop_asked.set
        )
        self._services: tuple[Service, ...] = (
            self._listener,
            self._completer,
            self._heartbeater,
            self._elector,
            self._fetcher,
            *([drainer] if options.drain else []),
        )
        self._watchdog = Watchdog()

    async def _check_schema(self) -> None:
        found = await self._claims.insist(inspections.version())
        needed = self._app.backend.head
        if found is None or found < needed:
            raise SchemaOutOfDate(
                f"the schema {self._app.schema} is at version {found}, this worker needs {needed}; "
                "run `pgqueue migrate`"
            )

    async def _check_place(self) -> None:
        """The session and the other lines must lead to the same place, or live workers look dead
        and dead ones alive."""
        ours = tuple(self._profile[key] for key in ("name", "host", "pid"))
        for worker in await self._claims.insist(inspections.workers()):
            if worker.id == self.id and (worker.name, worker.host, worker.pid) == ours:
                return
        raise PgqueueError("listen_url leads to another database than url, or to another schema")

    def _notified(self, topic: str) -> None:
        """A notification: a queue's name, what is due has changed, or one of our jobs was
        cancelled."""
        if topic == DUE:
            self._promoter.woken()
            self._rescuer.woken()
        elif topic.startswith("!"):
            if topic == f"!{self.id}":
                self._heartbeater.ask()
        else:
            self._fetcher.notified(topic)

    def _look(self, topic: str | None) -> None:
        """Time to look, although nobody said so; at everything, after a connection was lost."""
        if topic is None:
            self._rescuer.unsettled()
            self._heartbeater.ask()
        if topic in (None, DUE):
            self._promoter.look()
        if topic != DUE:
            self._fetcher.look(topic)

    async def _shut_down(self) -> None:
        """Stops claiming, lets jobs finish, hands back the others, and leaves with empty hands."""
        grace = self._options.grace
        empty_handed = await self._ends(self._fetcher.stop(), 0, LAST_WORD_SECONDS)
        if not empty_handed:
            await Service.stop(self._fetcher)
        self._executor.stop()
        if not await self._ends(self._executor.finish(), grace):
            if not self._stop_now.is_set():
                log.warning(
                    "%d jobs are still running after the grace period; handing them back",
                    len(self._executor.leases()),
                )
            await self._executor.hand_back()
        empty_handed &= await self._ends(self._completer.finish(), grace, LAST_WORD_SECONDS)
        await self._elector.stop()
        await self._heartbeater.stop()
        self._watchdog.stop()
        if self.id is not None and empty_handed:  # otherwise we stay listed, to be rescued from
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(2):
                    await self._listener.line.execute(operations.leave(self.id))
        for service in reversed(self._services):
            await service.stop()
        self._processes.close()
        self.stuck = self._threads.close()
        for line in (self._claims, self._completions, self._listener.line):
            await line.close()
        await self._app.close_async()
        if self.id is not None:
            log.info("worker %d stopped; %d jobs", self.id, self._executor.finished)

    async def _ends(
        self, work: Coroutine[Any, Any, None], seconds: float, last_word: float = 0
    ) -> bool:
        """Whether *work* ends in *seconds*, or as soon as we are to stop at once, or in *last_word*
        seconds after that; if not, it is cancelled."""
        working = asyncio.ensure_future(work)
        hurry = asyncio.ensure_future(self._stop_now.wait())
        await asyncio.wait({working, hurry}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        await asyncio.wait({working}, timeout=last_word)
        ended = working.done()
        working.cancel()
        await asyncio.gather(working, hurry, return_exceptions=True)
        return ended


def spare_the_collector() -> None:
    """For a process that only works: what it has imported is no garbage, and jobs come and go by
    the hundred. Otherwise Python looks for garbage every 700 objects, now and then among all."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop where it is installed, a third faster; otherwise asyncio's own."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()
