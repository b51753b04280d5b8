"""Jobs and handles as web frameworks return them."""

from __future__ import annotations

from datetime import UTC, datetime

import pydantic

from pgqueue import Handle, Job, State
from pgqueue.jobs.job import Progress

JOB = Job(
    id=7,
    task="ring",
    state=State.RUNNING,
    queue="default",
    priority=0,
    attempt=1,
    max_attempts=10,
    run_at=datetime(2026, 1, 1, tzinfo=UTC),
    enqueued_at=datetime(2026, 1, 1, tzinfo=UTC),
    progress=Progress(0.5, "half"),
)


class Answer(pydantic.BaseModel):
    job: Job
    handle: Handle  # type: ignore[type-arg]


def test_are_dicts_of_what_json_has() -> None:
    shown = JOB.as_dict()
    assert shown["state"] == "running"
    assert shown["run_at"] == "2026-01-01T00:00:00Z"
    assert shown["progress"] == {"fraction": 0.5, "note": "half", "checkpoint": None}
    assert Handle(7, "ring").as_dict()["id"] == 7


def test_are_fields_of_models_and_have_a_schema() -> None:
    text = Answer(job=JOB, handle=Handle(7, "ring")).model_dump_json()
    assert Answer.model_validate_json(text).job == JOB
    schema = Answer.model_json_schema()
    assert "unique_key" in str(schema)
