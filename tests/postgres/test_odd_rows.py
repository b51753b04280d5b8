"""A row that Python has no values for hides no other."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from pgqueue.operations import inspections
from pgqueue.testing.conformance import Store, a_job


@pytest.mark.parametrize(
    ("column", "value", "field", "shown"),
    [
        ("run_at", "'infinity'", "run_at", datetime.max.replace(tzinfo=UTC)),
        ("run_at", "'-infinity'", "run_at", datetime.min.replace(tzinfo=UTC)),
        ("enqueued_at", "'0044-03-15 BC'", "enqueued_at", datetime.min.replace(tzinfo=UTC)),
        ("claimed_at", "'20000-01-01'", "claimed_at", datetime.max.replace(tzinfo=UTC)),
        ("timeout_seconds", "'NaN'", "timeout_seconds", None),
        ("metadata", "'[1]'", "metadata", None),
        ("tags", "'{{a},{b}}'", "tags", ()),
    ],
)
def test_a_list_shows_a_finished_job_of_long_ago_and_all_others(
    store: Store, column: str, value: str, field: str, shown: object
) -> None:
    other, odd = store.bring("completed", a_job("other")), store.bring("completed", a_job("odd"))
    with psycopg.connect(store.backend.url) as connection:  # type: ignore[attr-defined]
        asked = f"UPDATE pgqueue.archive SET {column} = {value} WHERE id = %s"
        connection.execute(asked.encode(), [odd])

    jobs = store.do(inspections.list_jobs())

    assert [(job.id, job.task) for job in jobs] == [(odd, "odd"), (other, "other")]
    assert getattr(jobs[0], field) == shown
