"""Processor time of processes on this machine, from Linux's /proc; nothing elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.contenders import Connection


class Meter:
    """How long workers, and the server's processes that serve them, are on a processor."""

    def __init__(self, workers: Sequence[int], backends: Sequence[int]) -> None:
        self._groups = workers, backends
        self.start()

    def start(self) -> None:
        self._before = [_seconds(pids) for pids in self._groups]

    def read(self) -> tuple[float, float]:
        """Seconds of the workers and of the server since the start; 0 where it is not known."""
        worker, server = (
            _seconds(pids) - before for pids, before in zip(self._groups, self._before, strict=True)
        )
        return worker, server


def backends(connection: Connection) -> list[int]:
    """The server's processes that serve this database, but for our own."""
    found = connection.execute(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return [pid for (pid,) in found]


def _seconds(pids: Iterable[int]) -> float:
    nanoseconds = 0
    try:
        for pid in pids:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                nanoseconds += int((thread / "schedstat").read_text().split()[0])
    except (OSError, ValueError):
        return 0.0
    return nanoseconds / 1e9
