"""The schedules of a campaign: what was declared, and when that fires by the definition alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Literal

from tests.schedules.oracle import MINUTE, scan

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEYOND_ORDERS = 10**6  # keys of jobs that a schedule made are below minus this number
TOO_LATE = {"skip": 60.0}  # seconds, where nothing else is said


@dataclass(frozen=True, slots=True)
class When:
    """*cron* in *zone*, or *every* so many seconds, counted from *offset* seconds after 1970."""

    cron: str | None = None
    zone: str = "UTC"
    every: float = 0.0
    offset: float = 0.0

    def instants(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """The instants after *since* and at or before *until*."""
        if self.cron is not None:
            first = since.replace(second=0, microsecond=0) + MINUTE
            yield from scan(self.cron, self.zone, first, until + timedelta(microseconds=1))
            return
        every, anchor = timedelta(seconds=self.every), EPOCH + timedelta(seconds=self.offset)
        instant = anchor + ((since - anchor) // every + 1) * every
        while instant <= until:
            yield instant
            instant += every

    def has(self, instant: datetime) -> bool:
        """Is it one of the instants?"""
        return instant in self.instants(instant - timedelta(microseconds=1), instant)

    @property
    def said(self) -> str | timedelta:
        """For pgqueue."""
        return timedelta(seconds=self.every) if self.cron is None else self.cron

    def options(self) -> dict[str, Any]:
        anchor = EPOCH + timedelta(seconds=self.offset) if self.cron is None else None
        return {"zone": self.zone, "anchor": anchor}


@dataclass(frozen=True, slots=True)
class Entry:
    """One schedule. *other*: what people change it to, for a while. *starts* and *ends*, in the
    table, are seconds after it was put there; see `at`."""

    name: str
    when: When
    source: Literal["code", "api"] = "code"
    missed: Literal["latest", "all", "skip"] = "latest"
    overlap: Literal["skip", "next", "allow", "replace"] = "skip"
    catch_up: float | None = None
    jitter: float = 0.0
    seconds: float = 0.01
    plan: str = "complete"
    thread: bool = False
    other: When | None = None
    starts: float | datetime | None = None
    ends: float | datetime | None = None

    def options(self) -> dict[str, Any]:
        return {
            "missed": self.missed,
            "overlap": self.overlap,
            "catch_up": self.catch_up,
            "jitter": self.jitter,
            "starts": self.starts,
            "ends": self.ends,
            **self.when.options(),
        }

    def at(self, now: datetime) -> Entry:
        """With the instants that *starts* and *ends* are when it is put into the store *now*."""
        return replace(self, starts=_later(now, self.starts), ends=_later(now, self.ends))

    def alternatives(self) -> tuple[When, ...]:
        return (self.when,) if self.other is None else (self.when, self.other)

    @property
    def patience(self) -> float | None:
        """How late, in seconds, an instant must be to get no job any more."""
        return TOO_LATE.get(self.missed, self.catch_up)


def key(schedule: str, instant: datetime) -> int:
    """The number used instead of an order's key in a job that a schedule made; never twice."""
    digest = blake2b(f"{schedule} {instant.isoformat()}".encode(), digest_size=6).digest()
    return -BEYOND_ORDERS - int.from_bytes(digest, "big")


def _later(now: datetime, seconds: float | datetime | None) -> datetime | None:
    if isinstance(seconds, (int, float)):
        return (now + timedelta(seconds=seconds)).replace(microsecond=0)
    return seconds


def _entries() -> Iterator[Entry]:
    """Intervals of seconds, texts that fire each few minutes in zones that are off by half hours,
    and texts that nearly never fire: each declared by code, or put by the application."""
    overlaps = {"skip": "skip", "next": "next", "allow": "allow"}
    for number, (missed, overlap) in enumerate(
        (missed, overlap)
        for missed in ("latest", "all", "skip")
        for overlap in overlaps
        if (missed, overlap) != ("all", "skip")
    ):
        every = 4 + number % 4
        yield Entry(
            f"every-{missed}-{overlap}",
            When(every=every, offset=number / 8),
            missed=missed,  # type: ignore[arg-type]
            overlap=overlap,  # type: ignore[arg-type]
            catch_up=120.0 if missed == "all" else None,
            jitter=1.5 if number % 2 else 0.0,
            seconds=(0.01, 0.5, 5.0)[number % 3],
            plan="fail" if number % 4 == 1 else "complete",
            thread=number % 2 == 0,
        )
    for number, zone in enumerate(ZONES):
        yield Entry(
            f"cron-{zone.replace('/', '-').lower()}",
            When(cron=CRONS[number % len(CRONS)], zone=zone),
            source="api" if number % 2 else "code",
            missed=("latest", "all", "skip")[number % 3],  # type: ignore[arg-type]
            overlap=("skip", "allow", "next")[number % 3],  # type: ignore[arg-type]
            catch_up=300.0 if number % 3 == 1 else None,
            jitter=float(number % 4),
        )
    for number in range(12):
        yield Entry(
            f"moved-{number}",
            When(every=5 + number % 5, offset=0.25 + number / 100),
            source="api" if number % 3 else "code",
            missed="all" if number % 2 else "latest",
            overlap="allow" if number % 2 else "skip",
            catch_up=120.0 if number % 2 else None,
            other=When(every=4 + number % 3, offset=0.75 + number / 100)
            if number % 4
            else When(cron="* * * * *", zone=ZONES[number % len(ZONES)]),
        )
    # Each still runs when the next one is due, and would run long after that.
    for number in range(2):
        yield Entry(
            f"newest-{number}",
            When(every=4.0, offset=number + 0.5),
            overlap="replace",
            seconds=12.0,
            thread=number == 1,
        )
    # Instants that are later than that are skipped: outages last longer.
    yield Entry("brief", When(every=4.0), missed="all", overlap="allow", catch_up=3.0)
    yield Entry("begins", When(every=4.0, offset=2.0), "api", starts=6.0)
    yield Entry(
        "ends", When(every=4.0, offset=1.0), "api", missed="all", overlap="allow", ends=14.0
    )
    for number, cron in enumerate(RARE):
        yield Entry(f"rare-{number}", When(cron=cron, zone=ZONES[number]))


CRONS = ("* * * * *", "*/2 * * * *", "0-59/3 0-23 * * *", "1-59/2 * * * *", "0-59 */1 * * 0-7")
RARE = ("30 2 29 2 *", "0 0 1 1 *", "15 3 31 12 1-5", "59 23 * 2 *", "0 12 13 * 5")
ZONES = (
    "UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns",
    "Pacific/Chatham", "Asia/Kolkata", "America/New_York", "Pacific/Kiritimati",
    "Africa/Casablanca", "Asia/Tehran", "Australia/Eucla", "America/Caracas",
    "Pacific/Marquesas", "Europe/Lisbon", "Antarctica/Troll", "Asia/Gaza", "America/Santiago",
    "Atlantic/Azores", "Asia/Tokyo",
)  # fmt: skip
ENTRIES = {entry.name: entry for entry in _entries()}
