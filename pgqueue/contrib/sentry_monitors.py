"""The jobs of schedules as check-ins of Sentry's cron monitors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_OID, uuid5

from pgqueue.errors import installed
from pgqueue.jobs.events import JobCompleted, JobDiscarded, JobEvent, JobWasCancelled
from pgqueue.jobs.schedules.rows import Scheduled, scheduled_by
from pgqueue.jobs.schedules.timing import Timing
from pgqueue.tasks.context import Context

with installed("sentry"):
    import sentry_sdk
    from sentry_sdk.crons import capture_checkin

if TYPE_CHECKING:
    from pgqueue.app import App

MOST_CHARS: Final = 50
_UNITS: Final = (("day", 1440), ("hour", 60), ("minute", 1))
_FIELD: Final = re.compile(r"[\d*/,-]+")


class Monitors:
    """Sends a check-in for each instant of a schedule that has a job.

    One id for all attempts of a job, drawn from the schedule and the instant: whichever worker runs
    the next one goes on with it. A check-in begins with the first attempt, and is settled by the
    event of the job's end, as only that is final: "ok" if the job completed, else "error". An
    instant without a job (the earlier one was not finished, or no worker ran) has no check-in, and
    Sentry reports it missing. Jobs that somebody ran by hand have no check-ins.

    A schedule that code declares creates its monitor, if Sentry can express its times: five plain
    fields, or whole minutes.
    """

    def __init__(self, app: App, config: Mapping[str, Any]) -> None:
        self._app = app
        self._config = dict(config)
        self._known: dict[str, dict[str, Any] | None] = {}
        app.around(self.around)
        app.on(JobCompleted, JobDiscarded, JobWasCancelled)(self.ended)

    @contextmanager
    def around(self, ctx: Context) -> Iterator[None]:
        """Say that the job of an instant is in progress."""
        self._check_in(ctx.scheduled, "in_progress")
        yield

    def ended(self, event: JobEvent) -> None:
        """Say how it ended."""
        fired = scheduled_by(event.metadata or {}, event.task, datetime.now(UTC))
        self._check_in(fired, "ok" if isinstance(event, JobCompleted) else "error")

    def _check_in(self, fired: Scheduled, status: str) -> None:
        if fired.manual or sentry_sdk.get_client().transport is None:
            return
        capture_checkin(
            monitor_slug=slug(fired.name),
            check_in_id=uuid5(NAMESPACE_OID, f"{fired.name} {fired.instant.isoformat()}").hex,
            status=status,
            monitor_config=self._monitor(fired.name),  # type: ignore[arg-type]  # a TypedDict
        )

    def _monitor(self, name: str) -> dict[str, Any] | None:
        if name not in self._known:
            declared = self._app.declared.get(name)
            when = None if declared is None else schedule_of(declared.timing)
            self._known[name] = None
            if declared is not None and when is not None:
                zone = declared.timing.zone
                self._known[name] = {"schedule": when, "timezone": zone, **self._config}
        return self._known[name]


def slug(name: str) -> str:
    """Return *name* as Sentry accepts it: small letters, digits, ``_`` and ``-``, at most fifty."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")
    if len(plain) <= MOST_CHARS and plain == name and not plain.isdigit():
        return plain
    mark = sha256(name.encode()).hexdigest()[:6]  # names that differ stay apart
    return f"{plain[: MOST_CHARS - 7]}-{mark}".lstrip("-")


def schedule_of(timing: Timing) -> dict[str, Any] | None:
    """Return when a monitor expects its check-ins; None where Sentry cannot say that."""
    if timing.cron is not None:
        fields = timing.cron.split()
        plain = len(fields) == 5 and all(_FIELD.fullmatch(field) for field in fields)
        return {"type": "crontab", "value": timing.cron} if plain else None
    if timing.every is None or timing.every % timedelta(minutes=1):
        return None
    minutes = timing.every // timedelta(minutes=1)
    unit, size = next((unit, size) for unit, size in _UNITS if minutes % size == 0)
    return {"type": "interval", "value": minutes // size, "unit": unit}
