"""`app.jobs`: acting on many jobs, by their ids or by a filter."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, TypeAlias

from pgqueue.backends.plans import (
    carry_out,
    carry_out_async,
    patiently,
    patiently_async,
    step_by_step,
    step_by_step_async,
)
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import Job, State
from pgqueue.operations import acting
from pgqueue.operations.acting import Act, Acted, Number, Portion, Step, Which

if TYPE_CHECKING:
    from pgqueue.app import App

OnPortion: TypeAlias = Callable[[Mapping[int, str]], object]


class ManyJobs:
    """Methods that act on many jobs of an application.

    *which* is a `Filter`, or ids and handles. Jobs are acted on 500 at a time, each portion in a
    transaction of its own; jobs enqueued after the call are left alone. If a call is interrupted,
    its finished portions stay done: call again for the rest. Answers say what became of each job
    that was found; *on_portion* is called with those of each portion. Each portion is noted in the
    audit, in its transaction, as done by *by*, or else by the application's *actor*.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def cancel(
        self,
        which: Which,
        *,
        reason: str | None = None,
        by: str | None = None,
        on_portion: OnPortion | None = None,
    ) -> Acted:
        """Cancel waiting jobs; ask running ones to stop. A filter without a state matches both."""
        return self._act(acting.cancelling(reason, keep=self._keep), which, by, on_portion)

    async def cancel_async(
        self,
        which: Which,
        *,
        reason: str | None = None,
        by: str | None = None,
        on_portion: OnPortion | None = None,
    ) -> Acted:
        """As `cancel`, without blocking the event loop."""
        return await self._act_async(
            acting.cancelling(reason, keep=self._keep), which, by, on_portion
        )

    def retry(
        self, which: Which, *, by: str | None = None, on_portion: OnPortion | None = None
    ) -> Acted:
        """Run jobs again. A filter without a state matches discarded jobs."""
        return self._act(acting.retrying(keep=self._keep), which, by, on_portion)

    async def retry_async(
        self, which: Which, *, by: str | None = None, on_portion: OnPortion | None = None
    ) -> Acted:
        """As `retry`, without blocking the event loop."""
        return await self._act_async(acting.retrying(keep=self._keep), which, by, on_portion)

    def release(
        self, which: Which, *, by: str | None = None, on_portion: OnPortion | None = None
    ) -> Acted:
        """Take running jobs from their workers; their outcomes are refused, and no attempt is
        spent."""
        return self._act(acting.releasing(keep=self._keep), which, by, on_portion)

    async def release_async(
        self, which: Which, *, by: str | None = None, on_portion: OnPortion | None = None
    ) -> Acted:
        """As `release`, without blocking the event loop."""
        return await self._act_async(acting.releasing(keep=self._keep), which, by, on_portion)

    def reprioritise(
        self,
        which: Which,
        priority: int,
        *,
        by: str | None = None,
        on_portion: OnPortion | None = None,
    ) -> Acted:
        """Give waiting jobs another priority; they go behind its other jobs."""
        return self._act(acting.moving(priority=priority), which, by, on_portion)

    async def reprioritise_async(
        self,
        which: Which,
        priority: int,
        *,
        by: str | None = None,
        on_portion: OnPortion | None = None,
    ) -> Acted:
        """As `reprioritise`, without blocking the event loop."""
        return await self._act_async(acting.moving(priority=priority), which, by, on_portion)

    def move(
        self,
        which: Which,
        queue: str,
        *,
        by: str | None = None,
        on_portion: OnPortion | None = None,
    ) -> Acted:
        """Move waiting jobs to the end of another queue."""
        return self._act(acting.moving(queue), which, by, on_portion)

    async def move_async(
        self,
        which: Which,
        queue: str,
        *,
        by: str | None = None,
        on_portion: OnPortion | None = None,
    ) -> Acted:
        """As `move`, without blocking the event loop."""
        return await self._act_async(acting.moving(queue), which, by, on_portion)

    def purge(
        self, which: Which, *, by: str | None = None, on_portion: OnPortion | None = None
    ) -> Acted:
        """Delete finished jobs, except those whose results an unfinished job may still read."""
        return self._act(acting.purging(), which, by, on_portion)

    async def purge_async(
        self, which: Which, *, by: str | None = None, on_portion: OnPortion | None = None
    ) -> Acted:
        """As `purge`, without blocking the event loop."""
        return await self._act_async(acting.purging(), which, by, on_portion)

    def list(self, filter: Filter, *, before: int | None = None, limit: int = 50) -> list[Job]:
        """Read the jobs that match *filter*, the newest first; for the next page, only those
        *before* an id."""
        return carry_out(acting.listing(filter, before=before, limit=limit), self._app.execute)

    async def list_async(
        self, filter: Filter, *, before: int | None = None, limit: int = 50
    ) -> builtins.list[Job]:
        """As `list`, without blocking the event loop."""
        plan = acting.listing(filter, before=before, limit=limit)
        return await carry_out_async(plan, self._app.execute_async)

    def count(self, filter: Filter, *, most: int = acting.COUNTED) -> Number:
        """Count the jobs that match *filter*, up to *most*."""
        return carry_out(acting.counting(filter, most=most), self._app.execute)

    async def count_async(self, filter: Filter, *, most: int = acting.COUNTED) -> Number:
        """As `count`, without blocking the event loop."""
        return await carry_out_async(acting.counting(filter, most=most), self._app.execute_async)

    @property
    def _keep(self) -> frozenset[State]:
        return self._app.retention.archived_states()

    @property
    def _partitions(self) -> bool:
        return "partitions" in self._app.backend.capabilities

    def _steps(self, act: Act, which: Which, by: str | None) -> Generator[Step, Portion, Acted]:
        who = self._app.acting(by)
        return acting.steps(act, which, partitions=self._partitions, who=who)

    def _act(self, act: Act, which: Which, by: str | None, on_portion: OnPortion | None) -> Acted:
        def once(step: Step) -> Portion:
            with self._app.backend.transaction() as executor:
                return carry_out(step(), executor.execute)

        def do(step: Step) -> Portion:
            done = patiently(once, step)
            if on_portion is not None:
                on_portion(done.answers)
            return done

        return step_by_step(self._steps(act, which, by), do)

    async def _act_async(
        self, act: Act, which: Which, by: str | None, on_portion: OnPortion | None
    ) -> Acted:
        async def once(step: Step) -> Portion:
            async with self._app.backend.transaction_async() as executor:
                return await carry_out_async(step(), executor.execute)

        async def do(step: Step) -> Portion:
            done = await patiently_async(once, step)
            if on_portion is not None:
                on_portion(done.answers)
            return done

        return await step_by_step_async(self._steps(act, which, by), do)
