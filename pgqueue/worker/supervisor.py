"""The Supervisor: several worker processes, kept running, and stopped together."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from pgqueue.worker.service import log

HOPELESS: Final = 78  # a child's exit code: starting it again would change nothing
FIRST_GAP: Final = 0.5
LONGEST_GAP: Final = 30.0
STEADY_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.5
_VARIABLE: Final = "PGQUEUE_SUPERVISOR"
_PR_SET_PDEATHSIG: Final = 1
_NOT_OURS: Final = {"__pycache__", "node_modules", "site-packages"}


def place() -> int | None:
    """Which child of a supervisor this process is, from 0; None: it is none.

    Asked once, at the start: from then on the kernel tells us when the supervisor dies, however
    that happens, and what we start ourselves is nobody's child.
    """
    said = os.environ.pop(_VARIABLE, None)
    if said is None:
        return None
    supervisor, number = map(int, said.split(":"))
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != supervisor:
        sys.exit("the supervisor is gone")
    return number


def environment(number: int) -> dict[str, str]:
    """What a child is started with, so that `place` knows."""
    return {**os.environ, _VARIABLE: f"{os.getpid()}:{number}"}


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
        self._watched = watched
        self._signals = 0
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """Runs them until all have ended for good; answers the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        watching = asyncio.create_task(self._watch(self._watched)) if self._watched else None
        await asyncio.gather(*(self._keep(child) for child in self._children))
        if watching is not None:
            watching.cancel()
        return self._exit_code

    async def _keep(self, child: _Child) -> None:
        """Keeps one process running."""
        gap = FIRST_GAP
        while True:
            began = monotonic()
            code = await self._run_once(child)
            if self._stopping.is_set():
                if code not in (0, HOPELESS, -signal.SIGTERM):
                    log.warning("process %d %s", child.pid, _how(code))
                    self._exit_code = 1
                return
            if code == 0 and self._drain:
                return
            if child.restarting:
                continue
            if code == HOPELESS and self._watched is None:
                self._exit_code = 1
                self._stop()
                return
            if code == HOPELESS:
                log.warning("process %d cannot run; waiting for a change", child.pid)
                await self._pause(child, None)
                continue
            if monotonic() - began > STEADY_SECONDS:
                gap = FIRST_GAP
            log.warning("process %d %s; starting another in %g s", child.pid, _how(code), gap)
            await self._pause(child, gap)
            if self._stopping.is_set():
                return
            gap = min(2 * gap, LONGEST_GAP)

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
        if self._stopping.is_set():
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

    def _stop(self, number: int = signal.SIGTERM) -> None:
        self._stopping.set()
        for child in self._children:
            child.send(number)

    async def _watch(self, folder: Path) -> None:
        known = await asyncio.to_thread(_files, folder)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            found = await asyncio.to_thread(_files, folder)
            if found == known:
                continue
            [changed, *more] = sorted(path for path, _ in found ^ known)
            others = f" and {len(set(more) - {changed})} more" if set(more) - {changed} else ""
            log.info("%s%s changed: starting anew", Path(changed).relative_to(folder), others)
            known = found
            for child in self._children:
                child.restart()


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


def _files(folder: Path) -> set[tuple[str, int]]:
    """Every Python file below *folder* and when it was changed; not those of installed packages."""
    return set(_walk(str(folder)))


def _walk(folder: str) -> Iterator[tuple[str, int]]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.name.endswith(".py"):
                    yield entry.path, entry.stat().st_mtime_ns
                elif entry.is_dir(follow_symlinks=False) and not _is_foreign(entry):
                    yield from _walk(entry.path)


def _is_foreign(folder: os.DirEntry[str]) -> bool:
    return (
        folder.name.startswith(".")
        or folder.name in _NOT_OURS
        or Path(folder.path, "pyvenv.cfg").exists()
    )


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
