"""A schedule as code declares it: a name, when, which job, and its rules for missed instants and
overlaps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack
from zoneinfo import ZoneInfo

import msgspec

from pgqueue.errors import InvalidJob, InvalidSchedule
from pgqueue.jobs import checks
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.schedules.rows import Declaration, Missed, Overlap
from pgqueue.jobs.schedules.timing import Timing


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that is to be enqueued again and again.

    *missed*, for instants that passed while nobody could fire: the "latest" gets a job; "all" get
    one, oldest first; or, with "skip", none that is more than a minute late. *catch_up*: an instant
    later than this gets no job. *overlap*, while the previous job is unfinished: "skip" this
    instant; "next": one more job waits behind it; "allow": both run; "replace": the older one is
    cancelled. *jitter*: each start is delayed by less than this, in every process by the same time.
    It fires from *starts* on and before *ends*; *immediately*: also once when it is new. Durations
    are timedeltas or seconds. Raises InvalidSchedule.
    """

    name: str
    timing: Timing
    job: NewJob[Any]
    missed: Missed = "latest"
    catch_up: timedelta | float | None = None
    overlap: Overlap | None = None
    jitter: timedelta | float = 0
    starts: datetime | None = None
    ends: datetime | None = None
    immediately: bool = False

    def __post_init__(self) -> None:
        self.declaration()

    def declaration(self) -> Declaration:
        """Return the columns of its row."""
        every = self.timing.every
        try:
            checks.name("schedule", "name", self.name)
            declared = Declaration(
                said=self.timing.said,
                cron=self.timing.cron,
                every_seconds=None if every is None else every.total_seconds(),
                anchor=self.timing.anchor,
                zone=self.timing.zone,
                job=_element(self.name, self.job),
                missed=self.missed,
                catch_up_seconds=self._catch_up_seconds(),
                overlap=self.overlap or ("allow" if self.missed == "all" else "skip"),
                jitter_seconds=checks.duration(self.name, "jitter", self.jitter).total_seconds(),
                starts_at=self._instant("starts", self.starts),
                ends_at=self._instant("ends", self.ends),
            )
        except InvalidJob as error:
            raise InvalidSchedule(str(error)) from None
        declared.check(self.name)
        return declared

    def _catch_up_seconds(self) -> float | None:
        if self.catch_up is None:
            return None
        return checks.positive_duration(self.name, "catch_up", self.catch_up).total_seconds()

    def _instant(self, field: str, value: datetime | None) -> datetime | None:
        return None if value is None else checks.instant(self.name, field, value)


class ScheduleOptions(TypedDict, total=False):
    """The options of a schedule beside its name, its timing and its job; see `Schedule`."""

    zone: str | ZoneInfo | None
    anchor: datetime | None
    missed: Missed
    catch_up: timedelta | float | None
    overlap: Overlap | None
    jitter: timedelta | float
    starts: datetime | None
    ends: datetime | None
    immediately: bool


def make_schedule(
    name: str, when: str | timedelta | Timing, job: NewJob[Any], **options: Unpack[ScheduleOptions]
) -> Schedule:
    """Return the schedule *name* that enqueues *job* at *when*, in a person's words.

    Raises InvalidSchedule, which names the schedule.
    """
    zone, anchor = options.pop("zone", None), options.pop("anchor", None)
    try:
        timing = Timing.parse(when, zone=zone, anchor=anchor)
    except InvalidSchedule as error:
        raise InvalidSchedule(f"{name!s:.128}: {error}") from None
    return Schedule(name, timing, job, **options)  # type: ignore[misc]  # None means unsaid


def _element(name: str, job: object) -> dict[str, Any]:
    """The element of the document that `enqueue` takes; omitted fields have their defaults."""
    if not isinstance(job, NewJob):
        raise InvalidSchedule(f"{name}: job: {checks.shown(job)} is no job; give task.job(...)")
    for field, cure in (("edges", "parents"), ("run_at", "starts"), ("delay", "jitter")):
        if getattr(job, field):
            raise InvalidSchedule(
                f"{name}: job: a job that comes again and again cannot have {field}"
                + ("" if cure == "parents" else f"; see {cure}")
            )
    if job.uniqueness is not None:
        raise InvalidSchedule(
            f"{name}: job: unique: a schedule has no Unique(...); see overlap, or give a key alone"
        )
    element: dict[str, Any] = {"task": job.task, "args": msgspec.json.decode(job.args)}
    element |= {
        column: value
        for column, value, default in (
            ("queue", job.queue, "default"),
            ("priority", job.priority, 0),
            ("max_attempts", job.max_attempts, 10),
            ("timeout_seconds", job.timeout and job.timeout.total_seconds(), None),
            ("unique_key", job.unique, None),
            ("key", job.key, None),
            ("tags", list(job.tags), []),
            ("expires_seconds", _expiry(name, job), None),
            ("keep", job.keep, True),
        )
        if value != default
    }
    if job.metadata is not None:
        element["metadata"] = msgspec.json.decode(job.metadata)
    return element


def _expiry(name: str, job: NewJob[Any]) -> float | None:
    if isinstance(job.expires, datetime):
        raise InvalidSchedule(
            f"{name}: job: expires: an instant would be the same for all jobs of a schedule; "
            "give a duration from when they are due"
        )
    return None if job.expires is None else job.expires.total_seconds()
