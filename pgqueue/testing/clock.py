"""The time of a test: jobs become due by moving it, never by waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pgqueue.errors import PgqueueError


class Clock:
    """The instant at which a test's operations are carried out.

    Until it is moved the store's own clock rules. From then on it stands still, and only `travel`,
    `tick` and `drain` move it. It says nothing to Python's `datetime.now()`: move both, where the
    code under test asks that.
    """

    def __init__(self) -> None:
        self._instant: datetime | None = None

    @property
    def instant(self) -> datetime | None:
        """Where it was moved to; None while the store's clock rules."""
        return self._instant

    def now(self) -> datetime:
        """This moment, by this clock."""
        return self._instant or datetime.now(UTC)

    def travel(self, to: datetime | timedelta) -> datetime:
        """Go to the instant *to*, or as far from now, and stay there; back is possible too.

        Raises PgqueueError for a datetime without a time zone.
        """
        if isinstance(to, timedelta):
            self._instant = self.now() + to
        elif to.utcoffset() is None:
            raise PgqueueError(
                f"{to!r} has no time zone; use datetime.now(timezone.utc) or set tzinfo"
            )
        else:
            self._instant = to.astimezone(UTC)
        return self._instant

    def tick(self, duration: timedelta | float = 1.0) -> datetime:
        """Go *duration* on, a timedelta or seconds."""
        seconds = duration if isinstance(duration, timedelta) else timedelta(seconds=duration)
        return self.travel(seconds)

    def reset(self) -> None:
        """Let the store's clock rule again."""
        self._instant = None
