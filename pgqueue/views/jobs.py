"""A job as the command line and the dashboard both show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pgqueue.jobs.job import Job
from pgqueue.operations.inspections import ParentResult


def document(job: Job, parents: Sequence[ParentResult]) -> dict[str, Any]:
    """Return all of *job* for JSON: the columns of the view, and its parents."""
    return {
        **msgspec.to_builtins(job),
        "parents": [
            {"id": parent.parent, "task": parent.task, "outcome": parent.outcome}
            for parent in parents
        ],
    }
