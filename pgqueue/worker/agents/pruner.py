"""The Pruner: deletes what is past its retention."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from pgqueue import operations
from pgqueue.backends.plans import carry_out_async
from pgqueue.errors import StoreBusy, StoreUnavailable
from pgqueue.jobs.job import State
from pgqueue.jobs.retention import Retention
from pgqueue.operations import Trimmed
from pgqueue.operations.tallying import folding, summing
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.service import Service, log

PRUNE_SECONDS = 600.0
BLOCKED_SECONDS = 10.0  # until the next try, after something was in the way or left undone
TRIM_PORTIONS = 40  # 200,000 edges, which takes a second or two
PORTION = 10_000


class Pruner(Service):
    """Drops what is past its retention, makes partitions ahead, and looks for what should not
    exist.

    It has a connection of its own, open only while it works. On the session, its long statements
    would delay due jobs, signs of life and the renewal of a leader's term. Each step commits by
    itself and may fail by itself. An obstacle is logged once, and again only when it is a different
    one.
    """

    def __init__(
        self, line: ReconnectingConnection, retention: Retention, wake: Callable[[], None]
    ) -> None:
        self._line = line
        self._retention = retention
        self._wake = wake
        self._said: dict[str, str] = {}
        self._untrimmed = True  # a leader before us may have dropped jobs, and trimmed nothing
        self._came_to: Trimmed | None = None  # in all edges, while some are left to check

    async def run(self) -> None:
        while True:
            steps = (self._prune, self._trim, self._sweep, self._forget, self._fold)
            try:
                free = [await self._step(step) for step in steps]
            finally:
                await self._line.close()
            await asyncio.sleep(PRUNE_SECONDS if all(free) else BLOCKED_SECONDS)

    async def _step(self, step: Callable[[], Awaitable[bool]]) -> bool:
        """Carry out *step*; return whether nothing was in its way, and nothing is left to do."""
        name = step.__name__.strip("_")
        try:
            free = await step()
        except StoreUnavailable:
            raise
        except Exception as error:
            self._failed(
                name, f"{type(error).__name__}: {error}", known=isinstance(error, StoreBusy)
            )
            return False
        self._said.pop(name, None)
        return free

    async def _prune(self) -> bool:
        """Deletes in portions, until no job is past its retention, or none can be deleted."""
        dropped = deleted = 0
        while True:
            pruned = await self._line.execute(operations.prune(self._retention))
            dropped, deleted = dropped + pruned.dropped, deleted + pruned.deleted
            if not pruned.any():
                break
        if dropped or deleted:
            log.info("pruned %d partitions and %d single jobs", dropped, deleted)
            self._untrimmed = True
        for state in State:
            if state in pruned.failed:
                self._failed(f"prune of {state} jobs", pruned.failed[state])
            else:
                self._said.pop(f"prune of {state} jobs", None)
        return not pruned.failed

    async def _trim(self) -> bool:
        """Deletes the edges and workflows of deleted jobs, some at a time; returns whether it has
        looked at all. Does nothing unless jobs can have gone: by a prune, or because some states
        are not archived at all."""
        if self._came_to is None:
            if not self._untrimmed and self._retention.archived_states() == operations.EVERYTHING:
                return True
            self._came_to, self._untrimmed = Trimmed(), False
        for _ in range(TRIM_PORTIONS):
            self._came_to = await self._line.execute(operations.trim(self._came_to))
            if self._came_to is None:
                return True
        return False

    async def _sweep(self) -> bool:
        swept = await self._line.execute(operations.sweep(keep=self._retention.archived_states()))
        if any(swept):
            log.error("mended %d stranded and %d orphaned jobs; please report this", *swept)
            self._wake()
        return True

    async def _fold(self) -> bool:
        """Sums up the workers' counts: over all workers, and minutes into hours."""
        now = datetime.now(UTC)
        await carry_out_async(folding(now), self._line.execute)
        await carry_out_async(summing(now), self._line.execute)
        return True

    async def _forget(self) -> bool:
        """Deletes old firings of schedules, expired unique keys and old entries of the audit, in
        portions."""
        forget = operations.forget(PORTION, audit=self._retention.audit_kept())
        while await self._line.execute(forget):
            pass
        return True

    def _failed(self, what: str, why: str, known: bool = False) -> None:
        """Logs it, once. A lock that somebody holds for a moment is not worth a warning."""
        if known or "lock timeout" in why:
            log.debug("%s gave way: %s", what, why)
        elif self._said.get(what) != why:
            log.warning("%s: %s; it is tried again every now and then", what, why)
            self._said[what] = why
