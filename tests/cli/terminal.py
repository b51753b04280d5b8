"""What a test sees of a command: run in this process, or started in one of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from click.testing import CliRunner

from pgqueue.cli import main

T = TypeVar("T")
# The demo with little to do: it has the same acts.
DEMO = """
from pgqueue.cli import main
from pgqueue.demo import play
play.BURST, play.TICKS, play.PINGS = 300, 5, 10
main()
"""
ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


def eventually(look: Callable[[], T], *, within: float = PATIENCE) -> T:
    """What *look* answers as soon as that is true."""
    deadline = monotonic() + within
    while not (answer := look()):
        assert monotonic() < deadline, f"not within {within:g} s: {answer!r}"
        sleep(0.01)
    return answer


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


class Terminal:
    """Runs commands against one database."""

    def __init__(self, url: str | None) -> None:
        self.url = url

    def __call__(self, *words: object, **variables: str) -> Ended:
        environment = {"PGQUEUE_URL": self.url, "PGQUEUE_SCHEMA": None, **variables}
        ended = CliRunner().invoke(main, [str(word) for word in words], env=environment)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return Ended(ended.exit_code, ended.stdout, ended.stderr)

    def ok(self, *words: object, **variables: str) -> str:
        """What a command that does well prints."""
        ended = self(*words, **variables)
        assert (ended.code, ended.err) == (0, "")
        return ended.out


class Process:
    """A command in a process of its own, whose output is written to a file."""

    def __init__(
        self, words: list[str], folder: Path, environment: Mapping[str, str], number: int
    ) -> None:
        self._file = folder / f"output-{number}"
        with self._file.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, *words],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self.pid = self._process.pid

    @property
    def output(self) -> str:
        return self._file.read_text("utf-8", "replace")

    def says(self, pattern: str, times: int = 1) -> list[re.Match[str]]:
        """Waits until so many lines match."""

        def look() -> list[re.Match[str]]:
            found = list(re.finditer(pattern, self.output))
            assert len(found) >= times or self._process.poll() is None, self.output
            return found if len(found) >= times else []

        try:
            return eventually(look)
        except AssertionError as error:
            raise AssertionError(f"{error}: never {pattern!r} in:\n{self.output}") from None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ends(self) -> int:
        """Waits for its end; answers the exit code."""
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.output}") from None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def is_alive(pid: int) -> bool:
    """Does this process run? One that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
