"""Jobs come into a worker's hands, under a lease."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from pgqueue.operations.operation import Answers, Operation
from pgqueue.operations.params import as_json, instant


class ClaimedJob(msgspec.Struct, frozen=True, gc=False):
    """A job in a worker's hands: what it takes to run it, and the lease to finish it."""

    id: int
    priority: int
    position: int
    attempt: int
    task: str
    args: str
    max_attempts: int
    timeout_seconds: float | None
    run_at: float
    rescues: int
    progress: str | None
    metadata: str | None
    tags: list[str] | None
    workflow: int | None
    queue: str
    lease: int

    def __repr__(self) -> str:
        """Without its arguments: a log should not know them."""
        return f"<ClaimedJob {self.id}, {self.task}, attempt {self.attempt}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("task", self.task), ("attempt", self.attempt)]


class Floor(NamedTuple):
    """Everything of this queue up to *position* at *priority* is taken, as far as one knows."""

    priority: int
    position: int


def claim(
    queue: str,
    worker: int,
    lease: int,
    limit: int,
    *,
    floors: Sequence[Floor] = (),
    now: datetime | None = None,
) -> Operation[list[ClaimedJob]]:
    """Up to *limit* jobs for *worker*, most urgent first, attempt + 1, under *lease*.

    *lease* is a number of the worker's block that no other claim was given. *floors*, ascending by
    priority, say where to start; without them the whole queue is looked at.
    """

    def decode(answers: Answers) -> list[ClaimedJob]:
        jobs = [ClaimedJob(*row, lease) for row in answers[0]]  # type: ignore[call-arg]
        jobs.sort(key=lambda job: (job.priority, job.position))
        return jobs

    params = {
        "queue": queue,
        "worker": str(worker),
        "lease": str(lease),
        "limit": str(limit),
        "floors": _segments(floors),
        "now": instant(now),
    }
    return Operation("claim", params, decode)


def recall(worker: int, lease: int) -> Operation[list[ClaimedJob]]:
    """What the claim under *lease* took, if its answer never came because the connection broke."""
    return Operation(
        "recall",
        {"worker": str(worker), "lease": str(lease)},
        lambda answers: [ClaimedJob(*row, lease) for row in answers[0]],  # type: ignore[call-arg]
    )


def _segments(floors: Sequence[Floor]) -> str:
    """The whole order of a queue, cut at the floors, without gaps: an unknown priority is found
    too."""
    starts = [Floor(-32_769, 0), *floors]
    ends = [*(floor.priority for floor in floors), 32_768]
    return as_json(
        [
            {"priority": priority, "position": position, "below": below}
            for (priority, position), below in zip(starts, ends, strict=True)
        ]
    )
