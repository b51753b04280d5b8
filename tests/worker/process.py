"""Worker processes, and what a test sees of them: the log, the diary, the exit."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


def eventually(look: Callable[[], T | Literal[False] | None], *, within: float = PATIENCE) -> T:
    """What *look* answers as soon as that is true; an AssertionError from it means "not yet"."""
    deadline = monotonic() + within
    while True:
        try:
            if answer := look():
                return answer
            problem = f"still {answer!r}"
        except AssertionError as error:
            problem = str(error)
        if monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {problem}")
        sleep(0.01)


async def least(measure: Callable[[], Awaitable[float]], *, below: float, tries: int = 8) -> float:
    """The least that *measure* answers: whatever else this machine does only adds to it."""
    measured = inf
    for _ in range(tries):
        measured = min(measured, await measure())
        if measured < below:
            return measured
    raise AssertionError(f"at least {measured:.3f} each time, not below {below:g}")


async def soon(look: Callable[[], T | Literal[False] | None], *, within: float = PATIENCE) -> T:
    """As `eventually`, beside the event loop: *look* runs in a thread."""
    return await asyncio.to_thread(eventually, look, within=within)


@dataclass(frozen=True)
class Mark:
    """A line of the diary: *what* happened to a job, in which process."""

    what: str
    job: int
    attempt: int
    pid: int


class Shop:
    """The folder that tasks and tests share: the diary, and the gates for which tasks wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, gate: str = "gate") -> None:
        (self.folder / gate).touch()

    def marks(self, what: str | None = None) -> list[Mark]:
        diary = self.folder / "diary"
        lines = diary.read_text().splitlines() if diary.exists() else []
        marks = [Mark(line.split()[0], *map(int, line.split()[1:])) for line in lines]
        return [mark for mark in marks if what in (None, mark.what)]


def _flags(options: dict[str, Any]) -> list[str]:
    flags = []
    for name, value in options.items():
        flags += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return flags


class WorkerProcess:
    """A worker in a process of its own; *options* are the flags of `python -m pgqueue.worker`."""

    def __init__(self, url: str, shop: Shop, number: int, **options: Any) -> None:
        self._log = shop.folder / f"worker-{number}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pgqueue.worker", *_flags(options), "tests.worker.shop:app"],
                cwd=ROOT,
                env={**os.environ, "PGQUEUE_URL": url, "SHOP_FOLDER": str(shop.folder)},
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        self.pid = self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def logs(self, pattern: str, *, within: float = PATIENCE) -> re.Match[str]:
        """Waits for a line of the log that matches."""

        def look() -> re.Match[str] | None:
            ended = self._process.poll() is not None
            found = re.search(pattern, self.log)
            assert found or not ended, self.log
            return found

        return eventually(look, within=within)

    def started(self) -> WorkerProcess:
        self.logs(r"worker \d+ started")
        return self

    @property
    def worker(self) -> int:
        """Its identity in the store."""
        return int(self.logs(r"worker (\d+) started")[1])

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ends(self, *, within: float = PATIENCE) -> int:
        """Waits for its end and gives its exit code."""
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {within:g} s:\n{self.log}") from None

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.send_signal(signal.SIGCONT)
        self._process.wait(PATIENCE)
