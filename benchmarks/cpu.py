"""Processor time of processes on this machine, from Linux's /proc; nothing elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.contenders import Connection


def seconds(pids: Iterable[int]) -> float | None:
    """On a processor so far, all threads of *pids* together; None where that cannot be known."""
    total = 0
    try:
        for pid in pids:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                total += int((thread / "schedstat").read_text().split()[0])
    except (OSError, ValueError):
        return None
    return total / 1e9


def backends(connection: Connection) -> list[int]:
    """The server's processes that serve this database, but for our own."""
    found = connection.execute(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return [pid for (pid,) in found]
