"""How a worker is put together: its connections, its agents, and what runs its jobs."""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pgqueue.operations import Rescued
from pgqueue.operations.workers import Asked
from pgqueue.tasks import current
from pgqueue.views.bridges import info_of
from pgqueue.worker.agents.announcer import Announcer
from pgqueue.worker.agents.completer import Completer
from pgqueue.worker.agents.declarer import Declarer
from pgqueue.worker.agents.drainer import Drainer
from pgqueue.worker.agents.elector import Elector
from pgqueue.worker.agents.expirer import Expirer
from pgqueue.worker.agents.fetcher import Fetcher
from pgqueue.worker.agents.finder import Finder
from pgqueue.worker.agents.gatekeeper import Gatekeeper
from pgqueue.worker.agents.gauger import Gauger
from pgqueue.worker.agents.heartbeater import Heartbeater
from pgqueue.worker.agents.listener import Listener
from pgqueue.worker.agents.promoter import Promoter
from pgqueue.worker.agents.pruner import Pruner
from pgqueue.worker.agents.receiver import Receiver
from pgqueue.worker.agents.recollector import Recollector
from pgqueue.worker.agents.rescuer import Rescuer
from pgqueue.worker.agents.retirer import Retirer
from pgqueue.worker.agents.scheduler import Scheduler
from pgqueue.worker.agents.tallier import Tallier
from pgqueue.worker.connection import Health, ReconnectingConnection
from pgqueue.worker.life import Life
from pgqueue.worker.options import Options
from pgqueue.worker.running.executor import Executor
from pgqueue.worker.running.processes import ProcessPool
from pgqueue.worker.running.runtime import WorkerRuntime
from pgqueue.worker.running.threads import Threads
from pgqueue.worker.running.unknown_tasks import UnknownTasks
from pgqueue.worker.service import Service
from pgqueue.worker.telemetry.meter import Meter
from pgqueue.worker.wakeups import Wakeups

if TYPE_CHECKING:
    from pgqueue.app import App


class Leading(NamedTuple):
    """The Elector, and those of the leader's duties that others speak to."""

    elector: Elector
    promoter: Promoter
    rescuer: Rescuer
    scheduler: Scheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class Agents:
    """All of a worker's parts that others speak to; *services* in the order in which they start."""

    health: Health
    claims: ReconnectingConnection
    completions: ReconnectingConnection
    declarer: Declarer
    listener: Listener
    completer: Completer
    threads: Threads
    processes: ProcessPool
    executor: Executor
    fetcher: Fetcher
    heartbeater: Heartbeater
    promoter: Promoter
    rescuer: Rescuer
    scheduler: Scheduler
    elector: Elector
    announcer: Announcer | None
    bridges: tuple[Gatekeeper | Receiver, ...]
    tallier: Tallier
    services: tuple[Service, ...]


def served(app: App, options: Options) -> Mapping[str, int | None]:
    """The queues that a worker serves from its start: the named ones; those of the application's
    tasks that match a pattern; and the queues of its inlets."""
    known = (task.queue for task in app.tasks.values())
    given = {**options.queue_concurrency, **options.matching(known)}
    return {**dict.fromkeys(taken(app, options)), **given}


def unserved(app: App, options: Options) -> dict[str, list[str]]:
    """The tasks that a worker does not run as it does not serve their queues, by queue; without
    those of queues that it was told to exclude."""
    apart = {*served(app, options), *app.inlets}  # an inlet's own queue is for what is unreadable
    left: defaultdict[str, set[str]] = defaultdict(set)
    for task in app.tasks.values():
        if task.queue not in apart and not options.excludes(task.queue):
            left[task.queue].add(task.name)
    return {queue: sorted(left[queue]) for queue in sorted(left)}


def taken(app: App, options: Options) -> list[str]:
    """The inlets for which a worker takes messages."""
    wanted = options.inlets
    if isinstance(wanted, bool):
        return list(app.inlets) if wanted else []
    return [name for name in app.inlets if name in wanted]


def profile(app: App, options: Options) -> dict[str, Any]:
    """What a worker says of itself when it joins."""
    host = socket.gethostname()
    return {
        "name": options.name or f"{host}:{os.getpid()}",
        "host": host,
        "pid": os.getpid(),
        "queues": list(served(app, options)),
        "started_at": datetime.now(UTC),
        "info": {
            "concurrency": options.concurrency,
            "tasks": sorted(app.tasks),
            "owner": app.owner,
            "schedules": sorted(app.declared),
            **({"patterns": list(options.patterns)} if options.patterns else {}),
            **({"excluded": list(options.exclude_queues)} if options.exclude_queues else {}),
            **({"outlets": sorted(app.outlets)} if app.outlets else {}),
            **({"inlets": sorted(app.inlets)} if app.inlets else {}),
        },
    }


def assemble(
    app: App,
    options: Options,
    profile: dict[str, Any],
    drained: Callable[[], None],
    meter: Meter,
) -> Agents:
    """The agents of a worker of *app*, which is told when it is *drained*; *meter* counts what its
    jobs come to. Nothing runs yet."""
    backend, archived = app.backend, app.retention.archived_states()
    wakeups, health, life = Wakeups(), Health(), Life(options.frozen_after)
    claims = ReconnectingConnection("claims", backend.worker_connection(durable=False), health)
    completions = ReconnectingConnection("completions", backend.worker_connection(), health)
    listener = Listener(backend, profile, health, wakeups.notified, wakeups.look)
    for line in (claims, completions):
        line.recognised_by(listener.recognise)
    hooks, threads = app.hooks, Threads()
    announcer = Announcer(hooks.handlers, threads, claims) if hooks.handlers else None
    observers: list[Announcer | Meter] = [meter] if announcer is None else [announcer, meter]
    confirmed = [observer.confirmed for observer in observers]
    completer = Completer(completions, archived, wakeups.look, confirmed, wakeups.ended)

    def store() -> dict[str, Any]:
        return {"url": app.url, "schema": app.schema, "keep": archived}

    processes = ProcessPool(app.tasks, store, options.pool_processes, threads, hooks.all_around())
    current.worker.set(lambda: listener.worker)
    executor = Executor(
        app.tasks,
        completer,
        WorkerRuntime(backend, archived, wakeups.report),
        threads,
        processes,
        UnknownTasks(claims),
        life,
        concurrency=options.concurrency,
        limits={"thread": options.threads, "process": processes.size},
        freed=wakeups.look,
        around=hooks.all_around(),
        observers=observers,
    )
    fetcher = Fetcher(
        claims,
        listener,
        life,
        executor,
        served(app, options),
        poll_interval=options.poll_interval,
        sleep_after=options.sleep_after,
        max_jobs=options.max_jobs,
    )
    completer.send = fetcher.claim_behind

    def directed(asked: Asked | None) -> None:
        fetcher.quiet(asked is not None)
        if asked == "stop":
            drained()

    heartbeater = Heartbeater(
        listener,
        completions,
        life,
        executor,
        profile,
        interval=options.heartbeat_interval,
        frozen_after=options.frozen_after,
        bridges=lambda: info_of(state for bridge in bridges for state in bridge.states()),
        directed=directed,
    )
    declarer = Declarer(completions, listener, app)
    listener.declare = declarer.declare_anew
    leading = _leading(
        app,
        options,
        health=health,
        claims=claims,
        listener=listener,
        fetcher=fetcher,
        declarer=declarer,
        look=wakeups.look_for_work,
        rescued=None if announcer is None else announcer.rescued,
    )
    recollector = Recollector(claims, listener, fetcher, executor, completer)
    finder = Finder(claims, fetcher, options, profile, heartbeater.ask)
    find = finder.look if options.patterns else None
    drainer = Drainer(claims, fetcher, executor, completer, drained, find)
    tell = heartbeater.ask_soon
    gatekeeper = Gatekeeper(app.outlets.values(), fetcher, served(app, options), tell)
    receivers = [Receiver(app, app.inlets[name], tell) for name in taken(app, options)]
    bridges: tuple[Gatekeeper | Receiver, ...] = (gatekeeper, *receivers)
    tallier = Tallier(claims, listener, lambda: meter.figures().series)
    retirer = Retirer(fetcher, executor, completer, drained)
    agents = Agents(
        health=health,
        claims=claims,
        completions=completions,
        declarer=declarer,
        listener=listener,
        completer=completer,
        threads=threads,
        processes=processes,
        executor=executor,
        fetcher=fetcher,
        heartbeater=heartbeater,
        promoter=leading.promoter,
        rescuer=leading.rescuer,
        scheduler=leading.scheduler,
        elector=leading.elector,
        announcer=announcer,
        bridges=bridges,
        tallier=tallier,
        services=(
            *([] if announcer is None else [announcer]),
            *(listener, completer, heartbeater, leading.elector, declarer, fetcher, recollector),
            tallier,
            *([finder] if options.patterns else []),
            *([gatekeeper] if app.outlets else []),
            *receivers,
            *([drainer] if options.drain else []),
            *([retirer] if options.max_jobs is not None else []),
        ),
    )
    wakeups.routes_to(agents)
    return agents


def _leading(
    app: App,
    options: Options,
    *,
    health: Health,
    claims: ReconnectingConnection,
    listener: Listener,
    fetcher: Fetcher,
    declarer: Declarer,
    look: Callable[[], None],
    rescued: Callable[[Sequence[Rescued]], None] | None,
) -> Leading:
    """The leader's duties, with their own connections, and the Elector that begins them."""
    backend, archived = app.backend, app.retention.archived_states()
    housekeeping = ReconnectingConnection("housekeeping", backend.worker_connection(), health)
    schedules = ReconnectingConnection("schedules", backend.worker_connection(), health)
    schedules.recognised_by(listener.recognise)
    scheduler = Scheduler(
        schedules, listener, archived, fetcher.look, wakes_after=backend.wakes_after
    )
    promoter = Promoter(listener.line, listener, fetcher.look, scheduler.told)

    def others_changed() -> None:
        scheduler.others_changed()
        declarer.others_changed()

    rescuer = Rescuer(
        listener,
        archived,
        app.max_rescues,
        options.frozen_after,
        look,
        rescued=rescued,
        others_changed=others_changed,
    )
    pruner = Pruner(housekeeping, app.retention, look)
    expirer = Expirer(listener, archived, look)
    duties = (promoter, rescuer, expirer, pruner, scheduler, Gauger(claims))
    elector = Elector(listener, options.term, duties, declarer.others_changed)
    return Leading(elector, promoter, rescuer, scheduler)
