"""What happened to a job, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pgqueue.dashboard.pages.page import Page
from pgqueue.jobs.job import Job, State
from pgqueue.views.text import span


class Event(Page):
    """One thing that happened; *kind* is a state's name where it is the end of something."""

    at: datetime
    words: str
    kind: str = ""
    detail: str = ""


def timeline(job: Job) -> list[Event]:
    """Return what happened to *job*, the newest first."""
    return sorted(_events(job), key=lambda event: event.at, reverse=True)


def _events(job: Job) -> Iterator[Event]:
    if job.finished_at is not None:
        yield Event(job.finished_at, str(job.state), str(job.state), job.reason or "")
    failed = job.errors[:-1] if job.state is State.DISCARDED else job.errors
    for error in failed:
        worker = f", on worker {error.worker}" if error.worker else ""
        words = f"attempt {error.attempt} failed"
        yield Event(error.at, words, str(State.DISCARDED), f"{error.type}{worker}")
    if job.claimed_at is not None:
        by = f"by worker {job.worker}" if job.worker else ""
        if job.finished_at is not None:
            by += f"; it took {span(job.finished_at - job.claimed_at)}"
        yield Event(job.claimed_at, "claimed", "", by.removeprefix("; "))
    yield Event(job.run_at, "due")
    yield Event(job.enqueued_at, "enqueued")
