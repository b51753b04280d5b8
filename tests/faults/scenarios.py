"""Which faults can be dealt where."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.fleet import Fleet
from tests.faults.kinds import (
    Kind,
    clock,
    holders,
    neighbours,
    network,
    outages,
    processes,
    restored,
    server,
    sessions,
)
from tests.faults.kinds import valkey as valkey_kinds
from tests.faults.kinds.ddl import DdlForbidden
from tests.faults.kinds.deploy import Deployed
from tests.faults.kinds.disk import DiskFull, FileDiskFull
from tests.faults.kinds.file import FileLocked, FileRead
from tests.faults.kinds.pooler import PoolerKilled
from tests.faults.kinds.standby import StandbyBehind, StandbyPromoted
from tests.faults.sites import pooler, sqlite, valkey
from tests.faults.sites.clocks import PostgresClockSite, ValkeyClockSite
from tests.faults.sites.disk import DiskSite, FileDiskSite
from tests.faults.sites.odd import OddSite
from tests.faults.sites.pooler import PoolerSite
from tests.faults.sites.postgres import PostgresSite
from tests.faults.sites.sqlite import SqliteSite
from tests.faults.sites.standby import StandbySite
from tests.faults.sites.valkey import ValkeySite


@dataclass(frozen=True)
class Stage:
    """A site and the kinds of faults that are dealt there. *share*: of a campaign's time. *gap*:
    between two orders, in seconds; see `rounds.Plan`. *long*: a short campaign goes without it."""

    open_site: Callable[[Path], Any]
    kinds: Sequence[type[Kind]]
    share: float
    missing: Callable[[], str | None] = lambda: None
    root: bool = False
    long: bool = False
    gap: float = 0.15

    def playable(self) -> tuple[list[type[Kind]], dict[str, str]]:
        """The kinds that can be dealt on this machine, and what the others lack."""
        if self.root and os.geteuid() != 0:
            return [], {kind.name: "needs root" for kind in self.kinds}
        if lacks := self.missing():
            return [], {kind.name: f"needs {lacks}" for kind in self.kinds}
        lacking = {kind.name: f"needs {why}" for kind in self.kinds if (why := kind.missing())}
        return [kind for kind in self.kinds if kind.name not in lacking], lacking


PROCESSES: Sequence[type[Kind]] = (
    processes.WorkerKilled,
    processes.PoolChildKilled,
    processes.WorkerFrozen,
    processes.WorkerStopped,
)
STAGES: dict[str, dict[str, Stage]] = {
    "postgres": {
        "direct": Stage(
            PostgresSite,
            (
                *PROCESSES,
                server.ServerRestarted,
                server.ServerCrashed,
                server.PostmasterKilled,
                server.BackendKilled,
                sessions.ListenTerminated,
                sessions.StatementsTerminated,
                sessions.StatementsCancelled,
                sessions.EverySessionTerminated,
                sessions.ConnectionsUsedUp,
                network.NetworkCut,
                network.NetworkSlow,
                network.NetworkHeld,
                network.NetworkHalfOpen,
                network.ListenCut,
                network.ListenHalfOpen,
                clock.ClockJumped,
                neighbours.SnapshotHeld,
                neighbours.WriterIdle,
                neighbours.AutovacuumOff,
                neighbours.Migrated,
                Deployed,
            ),
            share=6,
        ),
        "pooler": Stage(
            PoolerSite,
            (*PROCESSES, processes.KilledInCalm, server.ServerRestarted, PoolerKilled),
            share=2,
            missing=pooler.missing,
        ),
        # Longer than `frozen_after`, and nobody is dead.
        "outages": Stage(
            PostgresSite,
            (
                outages.ServerAway,
                outages.ServerFrozen,
                outages.MachineSuspended,
                holders.TableLocked,
            ),
            share=3,
        ),
        # Few enough jobs that a worker is always free: a job that waits, waits behind a row.
        "held": Stage(
            PostgresSite,
            (
                processes.WorkerKilled,
                processes.WorkerStopped,
                holders.RunningHeld,
                holders.BlockedHeld,
                holders.ParentHeld,
                holders.WorkerHeld,
                holders.QueueHeld,
                holders.ScheduleHeld,
            ),
            share=2,
            gap=0.5,
        ),
        "clocks": Stage(PostgresClockSite, (processes.WorkerKilled, clock.ServerClockSet), share=1),
        "odd": Stage(
            OddSite,
            (
                processes.WorkerKilled,
                processes.WorkerStopped,
                server.ServerRestarted,
                sessions.ListenTerminated,
                sessions.StatementsTerminated,
                neighbours.WriterIdle,
                DdlForbidden,
                Deployed,
            ),
            share=2,
        ),
        "restored": Stage(
            PostgresSite,
            (processes.WorkerKilled, processes.KilledInCalm, restored.StoreRestored),
            share=1,
        ),
        "standby": Stage(StandbySite, (processes.WorkerKilled, StandbyPromoted), share=1),
        "failover": Stage(StandbySite, (processes.WorkerKilled, StandbyBehind), share=1, long=True),
        "disk": Stage(DiskSite, (DiskFull,), share=2, root=True),
    },
    "sqlite": {
        "file": Stage(
            SqliteSite,
            # No clock that jumps: one machine has one clock, which is also the database's.
            (
                *PROCESSES,
                Deployed,
                FileLocked,
                FileRead,
                outages.MachineSuspended,
                clock.SignsOfLifeMoved,
            ),
            share=1,
            missing=sqlite.missing,
        ),
        "restored": Stage(
            SqliteSite,
            (processes.WorkerKilled, processes.KilledInCalm, restored.FileReplaced),
            share=0.5,
            missing=sqlite.missing,
        ),
        "disk": Stage(
            FileDiskSite,
            (processes.WorkerKilled, FileDiskFull),
            share=0.5,
            missing=sqlite.missing,
            root=True,
        ),
    },
    "redis": {
        "valkey": Stage(
            ValkeySite,
            (
                *PROCESSES,
                clock.ClockJumped,
                Deployed,
                valkey_kinds.ServerStopped,
                valkey_kinds.ServerKilled,
                valkey_kinds.ServerFrozen,
                valkey_kinds.ConnectionsKilled,
                valkey_kinds.MemoryFull,
                valkey_kinds.JoinedWhileFull,
                network.NetworkCut,
                network.NetworkSlow,
                network.NetworkHeld,
                network.NetworkHalfOpen,
                outages.ServerFrozen,
                outages.MachineSuspended,
                valkey_kinds.ServerAway,
            ),
            share=1,
            missing=valkey.missing,
        ),
        "restored": Stage(
            ValkeySite,
            (
                processes.WorkerKilled,
                processes.KilledInCalm,
                restored.StoreRestored,
                restored.Flushed,
            ),
            share=0.5,
            missing=valkey.missing,
        ),
        "clocks": Stage(
            ValkeyClockSite,
            (processes.WorkerKilled, clock.ServerClockSetBack),
            share=0.5,
            missing=valkey.missing,
        ),
    },
}


def prepare(kinds: Sequence[type[Kind]]) -> Callable[[Fleet, Any], None]:
    """What workers must be started with, for some kinds to be possible."""

    def prepared(fleet: Fleet, site: Any) -> None:
        if clock.ClockJumped in kinds:
            fleet.extra["w1"] = clock.environment(fleet.folder)

    return prepared
