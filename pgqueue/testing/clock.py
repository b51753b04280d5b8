"""The time of a test: jobs become due when it is moved, never by waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pgqueue.errors import PgqueueError


class Clock:
    """The instant at which a test's operations are carried out.

    Until it is moved, the store's own clock rules. From then on it stands still, and only `travel`,
    `tick` and `drain` move it. Python's `datetime.now()` does not follow: move both if the code
    under test asks that.
    """

    def __init__(self) -> None:
        self._instant: datetime | None = None

    @property
    def instant(self) -> datetime | None:
        """The instant to which it was moved; None while the store's clock rules."""
        return self._instant

    def now(self) -> datetime:
        """Return the present instant by this clock."""
        return self._instant or datetime.now(UTC)

    def travel(self, to: datetime | timedelta) -> datetime:
        """Move to the instant *to*, or by so much from now, and stand still there; it may be back
        in time. Returns the instant.

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
        """Move on by *duration*, a timedelta or seconds. Returns the instant."""
        seconds = duration if isinstance(duration, timedelta) else timedelta(seconds=duration)
        return self.travel(seconds)

    def reset(self) -> None:
        """Let the store's clock rule again."""
        self._instant = None
