"""The Supervisor: several worker processes, kept running, and stopped together."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from pgqueue.worker.reloader import Reloader
from pgqueue.worker.service import log

# A child's exit codes when starting it again would change nothing, and what is ours then.
UNUSABLE: Final = os.EX_CONFIG
MISUSED: Final = os.EX_USAGE
HOPELESS: Final = {UNUSABLE: 1, MISUSED: 2}
FIRST_GAP: Final = 0.5
LONGEST_GAP: Final = 30.0
STEADY_SECONDS: Final = 60.0
_VARIABLE: Final = "PGQUEUE_SUPERVISOR"
_PR_SET_PDEATHSIG: Final = 1


def place() -> int | None:
    """Which child of a supervisor this process is, from 0; None: it is none.

    Asked once, at the start: from then on the kernel tells us when whoever started us dies, however
    that happens, and what we start ourselves is nobody's child.
    """
    said = os.environ.pop(_VARIABLE, None)
    if said is None:
        return None
    parent, _, number = said.partition(":")
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != int(parent):
        sys.exit("whoever started this worker is gone")
    return int(number) if number else None


def environment(number: int | None = None) -> dict[str, str]:
    """What a worker is started with, so that it ends when we do; a supervisor says its *number*."""
    pid = os.getpid()
    return {**os.environ, _VARIABLE: f"{pid}" if number is None else f"{pid}:{number}"}


class Supervisor:
    """Runs *command* in as many processes, restarts those that die, and passes signals on.

    With *drain*, a process that ends well has done its part. A change of a Python file below
    *watched* restarts them all, each in good order; then nothing is hopeless, since the next
    change may mend it.
    """

    def __init__(
        self,
        command: Sequence[str],
        processes: int,
        *,
        drain: bool = False,
        watched: Path | None = None,
    ) -> None:
        self._command = command
        self._children = [_Child(number) for number in range(processes)]
        self._drain = drain
        self._reloader = Reloader(watched, self._restart) if watched else None
        self._signals = 0
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """Runs them until all have ended for good; answers the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        if self._reloader is not None:
            self._reloader.start()
        await asyncio.gather(*(self._keep(child) for child in self._children))
        if self._reloader is not None:
            await self._reloader.stop()
        return self._exit_code

    async def _keep(self, child: _Child) -> None:
        """Keeps one process running."""
        gap = FIRST_GAP
        while not self._stopping.is_set():
            began = monotonic()
            code = await self._run_once(child)
            if self._stopping.is_set():
                if code not in (0, -signal.SIGTERM, *HOPELESS):
                    log.warning("process %d %s", child.pid, _how(code))
                    self._exit_code = self._exit_code or 1
            elif child.restarting:
                gap = FIRST_GAP
            elif code == 0 and self._drain:
                return
            elif code not in HOPELESS:
                if monotonic() - began > STEADY_SECONDS:
                    gap = FIRST_GAP
                log.warning("process %d %s; starting another in %g s", child.pid, _how(code), gap)
                await self._pause(child, gap)
                gap = min(2 * gap, LONGEST_GAP)
            elif self._reloader is not None:
                log.warning("process %d cannot work like this; waiting for a change", child.pid)
                await self._pause(child, None)
            elif child.number and self._children[0].process is not None:
                await self._pause(child, gap)  # the first one finds the same, and says it for all
                gap = min(2 * gap, LONGEST_GAP)
            else:
                if child.number:
                    log.warning("process %d %s", child.pid, _how(code))
                self._exit_code = HOPELESS[code]
                self._stop()

    async def _run_once(self, child: _Child) -> int:
        """Starts the process and waits for its end; answers its exit code."""
        child.restarting = False
        child.changed.clear()
        # In a group of its own, so that Ctrl-C reaches it once, through us.
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=environment(child.number),
            stdin=asyncio.subprocess.DEVNULL,
            process_group=0,
        )
        child.process = process
        log.info("process %d started", process.pid)
        if self._stopping.is_set() or child.restarting:
            child.send(signal.SIGTERM)
        code = await process.wait()
        child.process = None
        child.pid = process.pid
        return code

    async def _pause(self, child: _Child, seconds: float | None) -> None:
        """Waits until it is time to start again, a file has changed, or all is to stop."""
        waits = [
            asyncio.create_task(child.changed.wait()),
            asyncio.create_task(self._stopping.wait()),
        ]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _signalled(self, number: int) -> None:
        self._signals += 1
        what = ("stopping", "stopping now", "killing what is left")[min(self._signals, 3) - 1]
        log.info("%s: %s", signal.Signals(number).name, what)
        self._stop(signal.SIGTERM if self._signals < 3 else signal.SIGKILL)

    def _restart(self) -> None:
        for child in self._children:
            child.restart()

    def _stop(self, number: int = signal.SIGTERM) -> None:
        self._stopping.set()
        for child in self._children:
            child.send(number)


class _Child:
    """One place for a process."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: asyncio.subprocess.Process | None = None
        self.pid = 0
        self.restarting = False
        self.changed = asyncio.Event()

    def restart(self) -> None:
        self.restarting = True
        self.changed.set()
        self.send(signal.SIGTERM)

    def send(self, number: int) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
