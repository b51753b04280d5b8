"""Values that a task may return instead of a result, to say how its job goes on.

They are returned, not raised: so a task's signature shows them, and no `except Exception` on the
way can swallow them.

    @app.task
    async def sync(account: int) -> int | Snooze:
        if not await ready(account):
            return Snooze(60)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from pgqueue.jobs import checks


@dataclass(frozen=True, slots=True)
class Snooze:
    """Run the job again after *delay* (a timedelta or seconds); this attempt does not count."""

    delay: timedelta | float

    def __post_init__(self) -> None:
        object.__setattr__(self, "delay", checks.to_duration(self.delay))


@dataclass(frozen=True, slots=True)
class Retry:
    """This attempt failed: try again after *delay*, or when the retry policy says.

    It counts: when it was the last attempt, the job is discarded.
    """

    delay: timedelta | float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.delay is not None:
            object.__setattr__(self, "delay", checks.to_duration(self.delay))


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the job as cancelled: it is no longer wanted."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """End the job as discarded, whatever attempts are left: it can never succeed."""

    reason: str | None = None


Outcome: TypeAlias = Snooze | Retry | Cancel | Discard
OUTCOMES = (Snooze, Retry, Cancel, Discard)
