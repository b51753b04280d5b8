"""How topics are spelled: what a notification is about.

A queue's name is a topic as it stands: there is new work. All others begin with a mark, and no
queue's name can. Statement files write the same marks (sql/README.md has the table); a test
compares them.
"""

from __future__ import annotations

from typing import Final

DUE: Final = "@"
"""What the promoter should look at has changed: something is due soon, or a worker has joined."""
JOINED: Final = "+"
"""A worker has joined. Of SQLite's marks only; its session passes it on as DUE."""
ANY_END: Final = "#"
"""Somebody waits for the end of some job: while nobody does, no end is announced."""
SOON_SECONDS: Final = 30.0
"""What is due within this time wakes the promoter, which looks at least that often by itself."""

_WORKER: Final = "!"
MARKS: Final = frozenset({DUE, JOINED, ANY_END, _WORKER})
"""What a topic begins with that is no queue's name."""


def end_of(job: int) -> str:
    """Return the topic of the end of *job*."""
    return f"{ANY_END}{job}"


def ended(topic: str) -> int | None:
    """Return the job whose end *topic* is, if it is one."""
    number = topic.removeprefix(ANY_END)
    return int(number) if number != topic and number.isdigit() else None


def of_worker(worker: int) -> str:
    """Return the topic of *worker*: jobs that it runs are to be cancelled."""
    return f"{_WORKER}{worker}"


def is_of_worker(topic: str) -> bool:
    """Whether *topic* is some worker's."""
    return topic.startswith(_WORKER)
