"""docs/loco.md says of each word of Loco's queue what it is here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "loco.md"

# Of loco-rs 1.0: its command line, its settings, its code.
COMMANDS = {
    "jobs cancel": ["--name"],
    "jobs tidy": [],
    "jobs purge": ["--max-age", "--status", "--dump"],
    "jobs dump": ["--folder", "--status"],
    "jobs import": ["--file"],
    "jobs requeue": ["--from-age"],
    "cargo loco start": ["--worker", "--server-and-worker", "--all", "--scheduler"],
    "cargo loco scheduler": ["--name", "--tag", "--config", "--list"],
    "cargo loco watch": ["--worker", "--server-and-worker", "--scheduler"],
    "cargo loco doctor": ["--production", "--config"],
    "cargo loco generate": ["worker", "generate scheduler"],
    "cargo loco task": [],
    "loco new": ["--bg", "async", "queue-redis", "queue-postgres", "queue-sqlite", "blocking"],
}
STATUSES = ["queued", "processing", "completed", "cancelled", "failed"]
MODES = ["BackgroundQueue", "ForegroundBlocking", "BackgroundAsync"]
SETTINGS = [
    *("workers.mode", "queue.kind", "uri", "Postgres", "Sqlite", "Redis", "queue.queues"),
    *("num_workers", "poll_interval_sec", "min_connections", "max_connections"),
    *("connect_timeout", "idle_timeout", "enable_logging", "dangerously_flush"),
    *("reaper.age_minutes", "reaper.interval_seconds", "--environment", "worker_redis"),
]
CODE = [
    *("BackgroundWorker", "build", "perform", "class_name()", "queue()", "tags()"),
    *("perform_later", "perform_later_with_priority", "connect_workers"),
    *("cancel_jobs", "clear_by_status", "clear_jobs_older_than", "requeue", "retry_failed"),
    "get_jobs",
]
WORDS = [
    *COMMANDS,
    *(option for options in COMMANDS.values() for option in options),
    *(*STATUSES, *MODES, *SETTINGS, *CODE),
]


@pytest.fixture(scope="module")
def theirs() -> str:
    """What stands in the first cell of each row of a table."""
    rows = re.findall(r"^\| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    return "\n".join(row.replace("\\", "") for row in rows)


def test_each_word_of_loco_is_in_a_table(theirs: str) -> None:
    missing = [word for word in WORDS if not re.search(rf"(?<![\w-]){re.escape(word)}", theirs)]

    assert missing == []


def test_each_option_stands_beside_its_command(theirs: str) -> None:
    rows = theirs.splitlines()
    alone = [
        f"{command} {option}"
        for command, options in COMMANDS.items()
        for option in options
        if not any(command.removeprefix("cargo loco ") in row and option in row for row in rows)
    ]

    assert alone == []
