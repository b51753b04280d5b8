"""The completion of a job, as a value."""

from __future__ import annotations

from typing import Any

import msgspec

from pgqueue.jobs.graphs import Workflow
from pgqueue.jobs.job import NewJob


class Completion(msgspec.Struct, frozen=True):
    """The effects of a job's success: its result as JSON text, new jobs and new workflows.

    The job's children also wait for those of *jobs* that are in *graft*.
    """

    result: str | None = None
    jobs: tuple[NewJob[Any], ...] = ()
    graft: tuple[NewJob[Any], ...] = ()
    workflows: tuple[Workflow, ...] = ()

    def __repr__(self) -> str:
        return f"<Completion with {len(self.jobs)} jobs>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("jobs", len(self.jobs))]
