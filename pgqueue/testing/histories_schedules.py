"""Schedules in random histories: written, changed, fired, run by hand, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st
from msgspec.structs import replace

from pgqueue.jobs.schedules.rows import ScheduleRow
from pgqueue.operations import ScheduleWrite
from pgqueue.testing.model_schedules import ScheduledModel

NOON: Final = datetime(2030, 6, 1, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
NAMES: Final = ("s0", "s1", "s2")
PLANS: Final[Sequence[Mapping[str, Any]]] = (
    {},
    {"overlap": "allow", "jitter_seconds": 5.0},
    {"overlap": "next"},
    {"overlap": "replace"},
    {"overlap": "next", "missed": "all", "every_seconds": 3600.0},
    {"overlap": "allow", "missed": "all", "every_seconds": 7200.0},
    {"missed": "skip"},
    {"catch_up_seconds": 30.0},
    {"ends_at": NOON + 5 * MINUTE},
    {"paused_at": NOON, "paused_by": "ann"},
    {"retired_at": NOON},
    {"zone": "Europe/Berlin", "cron": "*/5 * * * *", "every_seconds": None},
)
SELDOM = st.sampled_from((False, False, False, False, True))
SCHEDULED: Final = (
    st.tuples(
        st.just("plan"),
        st.sampled_from(NAMES),
        st.sampled_from(PLANS),
        st.sampled_from((None, SECOND, -MINUTE)),
        st.sampled_from((True, True, True, False)),
        SELDOM,
    ),
    st.tuples(st.just("fire"), SELDOM),
    st.tuples(st.just("by_hand"), st.sampled_from(NAMES), st.sampled_from(("run", "force", "no"))),
)


class Scheduling:
    """What a history does with schedules."""

    model: ScheduledModel
    now: datetime
    jobs: list[int]

    def timed(self, verb: str, *args: Any, **options: Any) -> Any:
        raise NotImplementedError

    def same(self, verb: str, *args: Any, **options: Any) -> Any:
        raise NotImplementedError

    def plan(
        self,
        name: str,
        columns: Mapping[str, Any],
        first: timedelta | None,
        moved: bool,
        stale: bool,
    ) -> None:
        """Write a schedule, a new one or over the one that is there."""
        known = self.model.rows.get(name)
        next_at = None if first is None else self.now + first
        job = {"task": "task", "args": {"s": name}}
        given = {"every_seconds": 60.0, "job": job, "source": "api", **columns}
        row = ScheduleRow(name=name, next_at=next_at, **given)
        if known is not None:
            row = replace(row, revision=known.revision + stale)
        self.timed("schedule", [ScheduleWrite(row, known is None, moved)])

    def fire(self, twice: bool) -> None:
        for _ in range(1 + twice):
            self.timed("fire")
        self.jobs = list(self.model.jobs)

    def by_hand(self, name: str, what: str) -> None:
        if what == "no":
            self.same("unschedule", [name])
        else:
            self.timed("run", name, what == "force")
        self.jobs = list(self.model.jobs)
