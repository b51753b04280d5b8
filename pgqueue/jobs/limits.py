"""The limits of a queue: how many of its jobs run at once, and how many start in a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec

from pgqueue.jobs import checks

LIMITS: Final = ("concurrency", "rate", "key_concurrency", "key_rate", "ordered")
FIELDS: Final = (*LIMITS, "lowest_share")
MOST: Final = 1_000_000
MOST_SHARE: Final = 0.9


class Rate(msgspec.Struct, frozen=True):
    """At most *count* attempts begin in any *per* seconds."""

    count: int
    per: float = 1.0

    def __str__(self) -> str:
        return f"{self.count}/{self.per:.10g}s"


class Limits(msgspec.Struct, frozen=True):
    """The limits of a queue; None: no limit.

    *concurrency*: how many of its jobs may run at once; *rate*: how many attempts may begin in a
    time; *key_concurrency* and *key_rate*: the same for each key. *ordered*: the jobs of a key
    start in their order, each when the one before has ended. *lowest_share* is no limit: it is the
    part of the claimed jobs, 0.1 for a tenth, that is claimed from the less urgent priorities in
    turn.
    """

    concurrency: int | None = None
    rate: Rate | None = None
    key_concurrency: int | None = None
    key_rate: Rate | None = None
    ordered: bool = False
    lowest_share: float | None = None

    def fields(self) -> dict[str, Any]:
        """The fields that are set, as the store keeps them."""
        return {
            name: [value.count, value.per] if isinstance(value, Rate) else value
            for name in FIELDS
            if (value := getattr(self, name)) not in (None, False)
        }

    def __str__(self) -> str:
        said = {
            "concurrency": self.concurrency,
            "rate": self.rate,
            "concurrency a key": self.key_concurrency,
            "rate a key": self.key_rate,
            "lowest share": self.lowest_share,
        }
        parts = [f"{name} {value}" for name, value in said.items() if value is not None]
        return ", ".join([*parts, *(["ordered"] if self.ordered else [])]) or "no limits"


class KeyLimits(msgspec.Struct, frozen=True):
    """The limits of one key, where they differ from those of all keys of the queue.

    *weight*: how many times as many jobs a turn of this key claims as one of a key with weight 1.
    """

    concurrency: int | None = None
    rate: Rate | None = None
    weight: int = 1

    def fields(self) -> dict[str, Any]:
        """The fields that are set, as the store keeps them."""
        rate = None if self.rate is None else [self.rate.count, self.rate.per]
        said = {"concurrency": self.concurrency, "rate": rate, "weight": self.weight}
        return {name: value for name, value in said.items() if value is not None}

    def __str__(self) -> str:
        said = {"concurrency": self.concurrency, "rate": self.rate}
        parts = [f"{name} {value}" for name, value in said.items() if value is not None]
        return ", ".join([*parts, *([f"weight {self.weight}"] if self.weight != 1 else [])])


def limits_of(fields: dict[str, Any]) -> Limits:
    """Return the limits that the store keeps as *fields*."""
    return Limits(**{name: _read(value) for name, value in fields.items() if name in FIELDS})


def key_limits_of(fields: dict[str, Any]) -> KeyLimits:
    """Return the limits of one key that the store keeps as *fields*."""
    return KeyLimits(**{name: _read(value) for name, value in fields.items()})


def checked_limits(queue: str, limits: Limits) -> Limits:
    """Return *limits* in the form that is kept; raises InvalidJob, which names what is wrong."""
    checked = Limits(
        concurrency(queue, "concurrency", limits.concurrency),
        rate(queue, "rate", limits.rate),
        concurrency(queue, "key_concurrency", limits.key_concurrency),
        rate(queue, "key_rate", limits.key_rate),
        bool(limits.ordered),
        lowest_share(queue, limits.lowest_share),
    )
    if checked.lowest_share and len(checked.fields()) > 1:
        problem = "a queue with limits is served key by key; give either limits or a share"
        checks.refuse(queue, "lowest_share", problem)
    return checked


def concurrency(queue: str, parameter: str, value: object) -> int | None:
    return None if value is None else checks.integer(queue, parameter, value, 1, MOST)


def lowest_share(queue: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and value is not True and 0 <= value <= MOST_SHARE:
        return float(value)
    problem = f"{checks.shown(value)} is no share; give a number from 0 to {MOST_SHARE:g}"
    return checks.refuse(queue, "lowest_share", problem)


def rate(queue: str, parameter: str, value: object) -> Rate | None:
    if value is None:
        return None
    if not isinstance(value, Rate):
        checks.refuse(queue, parameter, f"{checks.shown(value)} is no rate; give Rate(100, per=60)")
    checks.integer(queue, parameter, value.count, 1, MOST)
    per = checks.positive_duration(queue, parameter, value.per)
    if per > timedelta(days=31):
        checks.refuse(queue, parameter, f"{per.days} days are too long; give 31 at most")
    return Rate(value.count, per.total_seconds())


def _read(value: Any) -> Any:
    return Rate(int(value[0]), float(value[1])) if isinstance(value, list) else value
