"""Processor time, wake-ups and memory of processes here, from Linux's /proc; nothing elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path


class Meter:
    """How long workers, and the server's processes that serve them, are on a processor."""

    def __init__(self, workers: Sequence[int], server: Sequence[int]) -> None:
        self._groups = workers, server
        self.start()

    def start(self) -> None:
        self._before = [_seconds(pids) for pids in self._groups]

    def read(self) -> tuple[float, float]:
        """Return CPU seconds of the workers and of the server since the start; 0 where unknown."""
        worker, server = (
            sum(now - before[pid] for pid, now in _seconds(pids).items() if pid in before)
            for pids, before in zip(self._groups, self._before, strict=True)
        )
        return worker, server


def wake_ups(pids: Iterable[int]) -> int:
    """How often their threads have waited for something, so far."""
    found = 0
    try:
        for pid in pids:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                for line in (thread / "status").read_text().splitlines():
                    if line.startswith("voluntary_ctxt_switches"):
                        found += int(line.split()[1])
    except (OSError, ValueError):
        return 0
    return found


def memory(pids: Iterable[int]) -> int:
    """Bytes of memory that these processes use."""
    try:
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    except (OSError, ValueError):
        return 0
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def _seconds(pids: Iterable[int]) -> dict[int, float]:
    """For those processes that still exist."""
    found = {}
    for pid in pids:
        try:
            threads = [*Path(f"/proc/{pid}/task").iterdir()]
            spent = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
        except (OSError, ValueError):
            continue
        found[pid] = spent / 1e9
    return found
