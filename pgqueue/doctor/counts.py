"""Checks of what workers have counted, for every store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pgqueue.doctor.findings import Check, Finding, Patient, ok, warning
from pgqueue.operations import inspections
from pgqueue.operations.tallying import EVERYBODY, FOLDED_BACK, tallied

SUMMED = timedelta(hours=1)
"""By then minutes have been summed up: the leader does that every ten minutes."""
LOOKED_AT = 1_000


def tally(patient: Patient) -> Iterator[Finding]:
    """Yield the minutes that no leader has summed up, although a leader was there all the time."""
    now = datetime.now(UTC)
    since = now - FOLDED_BACK + timedelta(minutes=10)
    rows = patient.ask(tallied(since, now - SUMMED, limit=LOOKED_AT))
    left = [row.at for row in rows if row.worker > EVERYBODY]
    steady = [w for w in patient.ask(inspections.workers()) if w.started_at < since]
    if left and steady:
        said = f"what workers counted since {left[0]:%H:%M} UTC is not summed up"
        yield warning("tally", said, "the leader does that; see the log of the one that leads")
    else:
        yield ok("tally", "what workers have counted is summed up")


COUNTS = (Check("tally", tally),)
