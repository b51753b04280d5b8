"""Numbers that stand in docs/ are those of the code."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from pgqueue.jobs.job import NewJob
from pgqueue.jobs.retries import Exponential
from pgqueue.worker import Options
from pgqueue.worker.running.leaving import GOING_SECONDS, LAST_SECONDS

DOCS = Path(__file__).parents[2] / "docs"
HOUR = timedelta(hours=1)


def number(page: str, pattern: str) -> int:
    """What *pattern* finds in *page*, once."""
    [found] = re.findall(pattern, DOCS.joinpath(page).read_text("utf-8"))
    return int(found)


def test_who_kills_a_worker_waits_until_it_must_be_gone() -> None:
    to_go = GOING_SECONDS + LAST_SECONDS
    grace = number("monitoring.md", r'--grace, "(\d+)"')

    assert to_go == 17  # "Seventeen seconds" in deploying.md and operations.md
    assert number("deploying.md", r"TimeoutStopSec=(\d+)") > Options().grace + to_go
    assert number("deploying.md", r"give (\d+), or `--grace 10`") > Options().grace + to_go
    assert number("monitoring.md", r"GracePeriodSeconds: (\d+)") > grace + to_go


def test_the_waits_between_attempts() -> None:
    attempts = NewJob[None]("t").max_attempts
    waits = [Exponential(jitter=0).delay(n, OSError()) for n in range(1, attempts)]
    text = DOCS.joinpath("tasks.md").read_text("utf-8")

    assert attempts == 10
    assert [wait.total_seconds() for wait in waits[:3]] == [3, 9, 27]
    assert f"the last {waits[-1] / HOUR:.1f} h; {sum(waits, timedelta()) / HOUR:.1f} h in" in text
