"""How long finished jobs are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pgqueue.jobs import checks
from pgqueue.jobs.job import State


@dataclass(frozen=True, slots=True)
class Retention:
    """How long finished jobs are kept, by how they ended; 0 is not at all, None for ever.

    Durations are timedeltas or seconds. Raises TypeError or ValueError for anything else.
    """

    completed: timedelta | float | None = timedelta(days=1)
    cancelled: timedelta | float | None = timedelta(days=7)
    discarded: timedelta | float | None = timedelta(days=30)

    def __post_init__(self) -> None:
        for state in ("completed", "cancelled", "discarded"):
            if (kept := getattr(self, state)) is not None:
                try:
                    object.__setattr__(self, state, checks.to_duration(kept))
                except (TypeError, ValueError) as error:
                    raise type(error)(f"Retention: {state}: {error}") from None

    def seconds(self) -> dict[str, float | None]:
        """Return the seconds by state; None is for ever."""
        durations = {
            state: getattr(self, state) for state in ("completed", "cancelled", "discarded")
        }
        return {state: d if d is None else d.total_seconds() for state, d in durations.items()}

    def archived_states(self) -> frozenset[State]:
        """Return the states whose jobs are kept at all."""
        return frozenset(State(state) for state, kept in self.seconds().items() if kept != 0)
