"""How long finished jobs, and the notes of the audit, are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pgqueue.jobs import checks
from pgqueue.jobs.job import State

LEAST_AUDIT: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long finished jobs are kept, by their state; 0: not at all; None: for ever.

    *audit*: how long notes of what people did to jobs, queues and schedules are kept; a week at
    least, so that an act cannot disappear before others could see it. Durations are timedeltas or
    seconds. Raises TypeError or ValueError for anything else.
    """

    completed: timedelta | float | None = timedelta(days=1)
    cancelled: timedelta | float | None = timedelta(days=7)
    discarded: timedelta | float | None = timedelta(days=30)
    audit: timedelta | float | None = timedelta(days=90)

    def __post_init__(self) -> None:
        for what in ("completed", "cancelled", "discarded", "audit"):
            if (kept := getattr(self, what)) is not None:
                try:
                    object.__setattr__(self, what, checks.to_duration(kept))
                except (TypeError, ValueError) as error:
                    raise type(error)(f"Retention: {what}: {error}") from None
        if (audit := self.audit_kept()) is not None and audit < LEAST_AUDIT:
            raise ValueError(f"Retention: audit: {audit} is less than a week")

    def seconds(self) -> dict[str, float | None]:
        """Return the seconds by state; None is for ever."""
        durations = {
            state: getattr(self, state) for state in ("completed", "cancelled", "discarded")
        }
        return {state: d if d is None else d.total_seconds() for state, d in durations.items()}

    def audit_kept(self) -> timedelta | None:
        """Return how long the audit is kept; None is for ever."""
        return self.audit if isinstance(self.audit, timedelta) else None

    def archived_states(self) -> frozenset[State]:
        """Return the states whose jobs are kept at all."""
        return frozenset(State(state) for state, kept in self.seconds().items() if kept != 0)
