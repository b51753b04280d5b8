"""What a page costs depends neither on what waits nor on what has finished.

`python -m tests.dashboard.ten_million` plays it with ten million of each.
"""

from __future__ import annotations

import pytest

from tests.dashboard.ten_million import Read, filled, measured
from tests.databases import Databases

N = 12_000
"""More than is ever counted of anything."""


def reads(url: str, n: int) -> list[Read]:
    backend = filled(url, n)
    found = measured(backend)
    backend.close()
    return found


def test_no_statement_of_a_page_reads_many_blocks(fresh_url: str) -> None:
    found = reads(fresh_url, N)

    assert {read.statement for read in found} > {"count", "throughput", "browse", "tallied"}
    assert [read for read in found if read.is_bad] == []


@pytest.mark.slow
def test_ten_times_as_many_jobs_cost_no_more_blocks(databases: Databases, template: str) -> None:
    with databases.fresh(template) as small, databases.fresh(template) as large:
        few, many = reads(small, N * 2), reads(large, N * 20)

    most: dict[tuple[str, str], int] = {}
    for read in few:
        most[read.page, read.statement] = max(read.blocks, most.get((read.page, read.statement), 0))
    assert [read for read in many if read.is_bad] == []
    for read in many:
        before = most.get((read.page, read.statement), 0)
        assert read.blocks <= 2 * before + 200, (read, before)
