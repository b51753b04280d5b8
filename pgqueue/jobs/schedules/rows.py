"""A schedule as a store keeps it: its declaration, people's changes, and its progress."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NoReturn, TypeAlias, get_args

import msgspec

from pgqueue.errors import InvalidJob, InvalidSchedule
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.schedules.timing import Timing
from pgqueue.jobs.shown import Shown

Missed: TypeAlias = Literal["latest", "all", "skip"]
Overlap: TypeAlias = Literal["skip", "next", "allow", "replace"]
Source: TypeAlias = Literal["code", "api"]
FiringOutcome: TypeAlias = Literal["fired", "skipped", "missed", "manual", "backfill"]

SCHEDULED: Final = "schedule"
"""The key of a job's `Scheduled` in its metadata."""
NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""The *next_at* of a schedule that is over. (None: the leader has not computed it yet.)"""


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """The columns that a declaration sets, and that a change at run time may override.

    *cron*, or *every_seconds* with *anchor*, or neither: then *said* is read. *job* is an element
    of the document that `enqueue` takes.
    """

    said: str = ""
    cron: str | None = None
    every_seconds: float | None = None
    anchor: datetime | None = None
    zone: str = "UTC"
    job: dict[str, Any]
    missed: Missed = "latest"
    catch_up_seconds: float | None = None
    overlap: Overlap = "skip"
    jitter_seconds: float = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def timing(self) -> Timing:
        """Return when it fires; raises InvalidSchedule for what cannot be read."""
        every = None if self.every_seconds is None else timedelta(seconds=self.every_seconds)
        return Timing.kept(self.said, self.cron, every, self.anchor, self.zone)

    def first_after(self, instant: datetime) -> datetime:
        """Return the first instant strictly after *instant* and before the end, or NEVER."""
        if self.starts_at is not None and self.starts_at > instant:
            instant = self.starts_at - timedelta(microseconds=1)
        first = self.timing().next_after(instant)
        if first is None or (self.ends_at is not None and first >= self.ends_at):
            return NEVER
        return first

    def check(self, name: str) -> None:
        """Raise InvalidSchedule, about the schedule *name*, when this is no valid declaration."""
        try:
            self.timing()
        except InvalidSchedule as error:
            raise InvalidSchedule(f"{name}: {error}") from None
        try:
            new_job(self.job)
        except (InvalidJob, TypeError) as error:
            _refuse(name, "job", str(error))
        for field, value, allowed in (
            ("missed", self.missed, get_args(Missed)),
            ("overlap", self.overlap, get_args(Overlap)),
        ):
            if value not in allowed:
                _refuse(name, field, f"{value!r:.40}; give one of {', '.join(allowed)}")
        if self.missed == "all" and self.overlap == "skip":
            _refuse(name, "overlap", 'with missed="all" each instant has a job; give "allow"')
        if self.missed == "skip" and self.catch_up_seconds is not None:
            _refuse(name, "catch_up", 'with missed="skip" nothing late is made up for; give none')
        if self.job.get("unique_key") is not None and self.overlap != "skip":
            _refuse(name, "overlap", 'the job has its own unique key, which allows only "skip"')
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            _refuse(name, "ends", "it ends before it starts")


class ScheduleRow(Shown, Declaration, frozen=True, kw_only=True):
    """A row of the table: the values in force, and where they come from."""

    name: str
    owner: str | None = None
    declared: Declaration | None = None
    changes: dict[str, Any] = {}
    source: Source = "code"
    revision: int = 1
    last_at: datetime | None = None
    next_at: datetime | None = None
    paused_at: datetime | None = None
    paused_by: str | None = None
    retired_at: datetime | None = None
    problem: str | None = None
    created_at: datetime | None = None

    @property
    def queue(self) -> str:
        """The queue that its jobs go to."""
        return str(self.job.get("queue", "default"))


class Scheduled(msgspec.Struct, frozen=True, kw_only=True):
    """The firing of a schedule, as the job that it made sees it.

    *instant* is the one that was due, *previous* the last one that the schedule handled before it,
    None at first. *missed* counts the instants between them that got no job, a thousand at most.
    *manual*: somebody asked for the job, at *instant*.
    """

    name: str
    instant: datetime
    previous: datetime | None = None
    missed: int = 0
    manual: bool = False

    def __post_init__(self) -> None:
        """Convert to UTC: a store answers in the zone of its role or database."""
        for field in ("instant", "previous"):
            if (at := getattr(self, field)) is not None:
                msgspec.structs.force_setattr(self, field, at.astimezone(UTC))


def scheduled_by(metadata: Mapping[str, Any], task: str, run_at: datetime) -> Scheduled:
    """Return the firing that made a job; a *manual* one, of its task's name, if none did."""
    try:
        return msgspec.convert(metadata.get(SCHEDULED), Scheduled)
    except msgspec.ValidationError:
        return Scheduled(name=task, instant=run_at, manual=True)


def new_job(element: Mapping[str, Any]) -> NewJob[Any]:
    """Return the job that *element* describes, an element of the document that `enqueue` takes.

    Raises InvalidJob or TypeError if `enqueue` would refuse it.
    """
    given = {**element}
    for field in ("edges", "uniqueness", "on_enqueue", "schema"):
        if field in given:
            raise TypeError(f"a schedule's job has no {field}")
    for column, field in (
        ("timeout_seconds", "timeout"),
        ("expires_seconds", "expires"),
        ("unique_key", "unique"),
    ):
        if column in given:
            given[field] = given.pop(column)
    for field in ("args", "metadata"):
        if given.get(field) is not None:
            given[field] = msgspec.json.encode(given[field]).decode()
    return NewJob(**given)


def _refuse(name: str, field: str, problem: str) -> NoReturn:
    raise InvalidSchedule(f"{name}: {field}: {problem}")
