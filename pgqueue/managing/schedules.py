"""`app.schedules`: read, change, pause and fire the schedules of the store.

    app.schedules.pause("digest", by="ann")
    app.schedules.change("digest", "every weekday at 8:00", zone="Europe/Berlin")
    app.schedules.preview("every 2 hours", count=10)

These methods block; a coroutine calls them in a thread, or carries out the plans of
`pgqueue.operations.editing`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar, Unpack
from zoneinfo import ZoneInfo

from pgqueue import operations
from pgqueue.backends.base import Backend
from pgqueue.backends.plans import carry_out, patiently
from pgqueue.errors import InvalidSchedule, StoreBusy, StoreUnavailable
from pgqueue.jobs.job import NewJob, State
from pgqueue.jobs.schedules.merging import columns_of
from pgqueue.jobs.schedules.rows import Missed, Overlap, ScheduleRow
from pgqueue.jobs.schedules.schedule import ScheduleOptions, make_schedule
from pgqueue.jobs.schedules.timing import Timing
from pgqueue.jobs.schedules.zones import zone_of
from pgqueue.operations import Became, Fired, Firing, Plan, editing
from pgqueue.operations.auditing import noted

T = TypeVar("T")
Rows: TypeAlias = list[ScheduleRow]  # `list` is a method below
Firings: TypeAlias = list[Firing]
Outcomes: TypeAlias = list[Became]
Instants: TypeAlias = list[datetime]
PAGE: Final = 1_000
_UNSAID: Final[Any] = object()


class Schedules:
    """The schedules of a store. The methods raise UnknownSchedule for a name that it does not have.

    Each change is noted in the audit, in its transaction, as done by *by*, or else by the
    application's *actor*, and for which *reason*.
    """

    def __init__(
        self,
        backend: Callable[[], Backend],
        keep: frozenset[State],
        acting: Callable[[str | None], str | None],
    ) -> None:
        self._backend = backend
        self._keep = keep
        self._acting = acting

    def list(self, *, owner: str | None = None) -> Rows:
        """Return all schedules in the order of their names; of *owner* alone, if it is given.

        A row that cannot be read is left out: `pgqueue doctor` names it.
        """
        return [*self._rows(owner)]

    def show(self, name: str) -> ScheduleRow:
        """Return the schedule *name*: the values in force, the declared ones and the changed
        ones."""
        return self._carry(lambda: editing.read(name))

    def history(self, name: str, *, limit: int = 50) -> Firings:
        """Return the latest firings of *name*, and what became of each, the latest first."""
        return self._backend().execute(operations.firings(name, limit=limit))

    def put(
        self,
        name: str,
        when: str | timedelta | Timing,
        job: NewJob[Any],
        *,
        reason: str | None = None,
        by: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> bool:
        """As `pgqueue.schedule`, in a transaction of its own; return whether that changed anything.

        For stores in which an application has no transactions: Redis.
        """
        made = make_schedule(name, when, job, **options)
        plan = partial(editing.put, made)
        return self._note("put", name, reason, by, plan, "changed", "is so already")

    def remove(self, *names: str, reason: str | None = None, by: str | None = None) -> set[str]:
        """As `pgqueue.unschedule`, in a transaction of its own."""
        return self._carry(
            lambda: noted(
                editing.remove(names),
                self._acting(by),
                "remove",
                target=f"schedule {', '.join(names)}",
                reason=reason,
                answer=lambda gone: f"removed {', '.join(sorted(gone)) or 'nothing'}",
            )
        )

    def pause(self, name: str, *, reason: str | None = None, by: str | None = None) -> bool:
        """Stop *name* from firing, also after deploys and changes; return whether it was active
        before."""
        who = self._acting(by)
        plan = partial(editing.pause, name, by if by is not None else who)
        return self._note("pause", name, reason, who, plan, "paused", "was paused")

    def resume(
        self,
        name: str,
        *,
        catch_up: bool = False,
        reason: str | None = None,
        by: str | None = None,
    ) -> bool:
        """Let *name* fire again; return whether it was paused.

        The instants of the pause are dropped; with *catch_up* they count as missed.
        """
        plan = partial(editing.resume, name, catch_up=catch_up)
        return self._note("resume", name, reason, by, plan, "resumed", "was not paused")

    def change(
        self,
        name: str,
        when: str | timedelta | Timing | None = None,
        *,
        cron: str | None = None,
        zone: str | ZoneInfo | None = None,
        anchor: datetime | None = None,
        missed: Missed = _UNSAID,
        catch_up: timedelta | float | None = _UNSAID,
        overlap: Overlap = _UNSAID,
        jitter: timedelta | float = _UNSAID,
        starts: datetime | None = _UNSAID,
        ends: datetime | None = _UNSAID,
        reason: str | None = None,
        by: str | None = None,
    ) -> bool:
        """Change *name* at run time, at once; return whether that changed anything.

        The change survives deploys, until `reset` or until code declares the same field
        differently. Raises InvalidSchedule when the result is no valid schedule.
        """
        if when is not None and cron is not None:
            raise InvalidSchedule(f"{name}: give when or cron, not both")
        said = {
            "missed": missed,
            "catch_up": catch_up,
            "overlap": overlap,
            "jitter": jitter,
            "starts": starts,
            "ends": ends,
        }
        said = {field: value for field, value in said.items() if value is not _UNSAID}
        columns = columns_of(name, when if cron is None else cron, zone, anchor, said)
        plan = partial(editing.alter, name, columns)
        return self._note("change", name, reason, by, plan, "changed", "is so already")

    def reset(self, name: str, *, reason: str | None = None, by: str | None = None) -> bool:
        """Undo all changes that people have made to *name*; return whether there were any."""
        plan = partial(editing.restore, name)
        return self._note("reset", name, reason, by, plan, "reset", "was not changed")

    def run(
        self,
        name: str,
        *,
        force: bool = False,
        reason: str | None = None,
        by: str | None = None,
    ) -> Became:
        """Enqueue the job of *name* now, even if it is paused; its next instant stays.

        The answer's *outcome* is "skipped" where the schedule's rule for overlaps forbids another
        job; *force* enqueues it all the same.
        """
        run = partial(editing.run_now, name, force=force, keep=self._keep)
        return self._fire("run", name, reason, by, run).became[0]

    def backfill(
        self,
        name: str,
        since: datetime,
        until: datetime,
        *,
        force: bool = False,
        reason: str | None = None,
        by: str | None = None,
    ) -> Outcomes:
        """Enqueue a job for each instant from *since* on and before *until* that has none.

        Raises InvalidSchedule for instants of which no firings are remembered any more (thirty
        days, a thousand instants), unless *force*.
        """
        make_up = partial(editing.make_up, name, since, until, force=force)
        return self._fire("backfill", name, reason, by, make_up).became

    def preview(
        self,
        when: str | timedelta | Timing,
        *,
        zone: str | ZoneInfo | None = None,
        anchor: datetime | None = None,
        count: int = 10,
        since: datetime | None = None,
    ) -> Instants:
        """Return the first *count* instants of *when* after *since* (by default now), in *zone*.

        Asks no store. Raises InvalidSchedule.
        """
        timing = Timing.parse(when, zone=zone, anchor=anchor)
        tz = zone_of(timing.zone)
        later = timing.after(since or datetime.now(UTC))
        return [instant.astimezone(tz) for instant in islice(later, count)]

    def _rows(self, owner: str | None) -> Iterator[ScheduleRow]:
        after: str | None = None
        while True:
            page = operations.schedules(owner=owner, after=after, limit=PAGE)
            found = self._backend().execute(page)
            yield from found.rows
            names = [row.name for row in found.rows] + [row.name for row in found.unreadable]
            if len(names) < PAGE:
                return
            after = max(names)

    def _note(
        self,
        verb: str,
        name: str,
        reason: str | None,
        by: str | None,
        plan: Callable[[], Plan[bool]],
        done: str,
        already: str,
    ) -> bool:
        return self._carry(
            lambda: noted(
                plan(),
                self._acting(by),
                verb,
                target=f"schedule {name}",
                reason=reason,
                answer=lambda did: done if did else already,
            )
        )

    def _fire(
        self,
        verb: str,
        name: str,
        reason: str | None,
        by: str | None,
        plan: Callable[..., Plan[Fired]],
    ) -> Fired:
        wakes_after = self._backend().wakes_after
        fired = self._carry(
            lambda: noted(
                plan(notify=not wakes_after),
                self._acting(by),
                verb,
                target=f"schedule {name}",
                reason=reason,
                answer=Fired.words,
            )
        )
        if wakes_after and fired.topics:
            # Only a hint: the jobs are stored.
            with contextlib.suppress(StoreUnavailable, StoreBusy):
                self._backend().execute(operations.wake(fired.topics))
        return fired

    def _carry(self, plan: Callable[[], Plan[T]]) -> T:
        def carried() -> T:
            with self._backend().transaction() as executor:
                return carry_out(plan(), executor.execute, getattr(executor, "together", None))

        return patiently(carried)
