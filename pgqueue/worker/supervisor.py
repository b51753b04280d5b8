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

from pgqueue.worker.options import Options
from pgqueue.worker.reloader import Reloader
from pgqueue.worker.service import log
from pgqueue.worker.telemetry.probes import Probes
from pgqueue.worker.telemetry.relay import Relay
from pgqueue.worker.telemetry.supervising import SupervisorVitals
from pgqueue.worker.telemetry.systemd import Systemd

# Exit codes of a child that a restart cannot help; HOPELESS gives the supervisor's exit code for
# each.
UNUSABLE: Final = os.EX_CONFIG
MISUSED: Final = os.EX_USAGE
UNREACHABLE: Final = os.EX_UNAVAILABLE  # hopeless only while no process has ever worked
HOPELESS: Final = {UNUSABLE: 1, UNREACHABLE: 1, MISUSED: 2}
FIRST_GAP_SECONDS: Final = 0.5
LONGEST_GAP_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
LATE_SECONDS: Final = 20.0  # after the grace period, before a process is killed
_VARIABLE: Final = "PGQUEUE_SUPERVISOR"
_relays: Final[list[Relay]] = []
_PR_SET_PDEATHSIG: Final = 1


def place() -> int | None:
    """This process's number among its supervisor's children, from 0; None if it has no supervisor.

    To be called once, at the start. From then on the kernel sends us SIGTERM when the process that
    started us dies, for whatever reason. The variable with the number is removed from the
    environment, as the processes that we start are no children of the supervisor.
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
    number, _, descriptor = number.partition(":")
    if descriptor:
        _relays.append(Relay(int(descriptor)))
    return int(number) if number else None


def relay() -> Relay | None:
    """The way to our supervisor, if it asked for one; to be called once, after `place`."""
    return _relays.pop() if _relays else None


def environment(number: int | None = None, descriptor: int | None = None) -> dict[str, str]:
    """What a worker is started with, so that it ends when we do; a supervisor says its *number*,
    and on which *descriptor* it wants to hear how the worker is."""
    said = ":".join(str(part) for part in (os.getpid(), number, descriptor) if part is not None)
    return {**os.environ, _VARIABLE: said}


class Supervisor:
    """Runs *command* in as many processes, restarts those that die, and passes signals on.

    It passes a second SIGTERM on as SIGQUIT: tools that stop a service often send the first SIGTERM
    to all of its processes, so each child gets that twice, from the tool and from us.

    A process that was told to end and still lives *grace* seconds and a margin later is killed.
    With *drain*, a process that ends well is not started again; with *renews*, another takes its
    place at once. A change of a Python file below *watched* restarts them all in good order. Then
    no error makes the supervisor give up, since the next change may mend it.

    It answers the health probes of *options* and *systemd* for all of them.
    """

    def __init__(
        self,
        command: Sequence[str],
        processes: int,
        *,
        grace: float = 30.0,
        drain: bool = False,
        renews: bool = False,
        watched: Path | None = None,
        options: Options | None = None,
        systemd: Systemd | None = None,
    ) -> None:
        self._command = command
        self._children = [_Child(number, grace + LATE_SECONDS) for number in range(processes)]
        self._drain = drain
        self._renews = renews
        self._reloader = Reloader(watched, self._restart) if watched else None
        self._vitals = SupervisorVitals(processes)
        metrics = self._vitals.metrics
        self._probes = Probes(self._vitals, options or Options(), systemd, metrics)
        self._signals = 0
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._has_worked = False

    async def run(self, *, signals: bool = True) -> int:
        """Runs them until all have ended for good; answers the exit code. Raises PgqueueError.

        Without *signals* it handles none: the caller does, and calls `stop`.
        """
        if signals:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._signalled, number)
        with self._probes:
            return await self._run()

    def stop(self) -> None:
        """Have all of them end in good order, as at a SIGTERM."""
        self._stop()

    async def _run(self) -> int:
        if self._reloader is not None:
            self._reloader.start()
        await asyncio.gather(*(self._keep(child) for child in self._children))
        if self._reloader is not None:
            await self._reloader.stop()
        return self._exit_code

    async def _keep(self, child: _Child) -> None:
        """Keeps one process running."""
        gap = FIRST_GAP_SECONDS
        while not self._stopping.is_set():
            began = monotonic()
            code = await self._run_once(child)
            steady = monotonic() - began > STEADY_SECONDS
            self._has_worked |= steady and code not in HOPELESS
            if self._stopping.is_set():
                if code not in (0, -signal.SIGTERM, -signal.SIGQUIT, *HOPELESS):
                    log.warning("process %d %s", child.pid, _how(code))
                    self._exit_code = self._exit_code or 1
            elif child.restarting or (code == 0 and self._renews and not self._drain):
                gap = FIRST_GAP_SECONDS
            elif code == 0 and self._drain:
                self._vitals.unlinked(child.number, for_good=True)
                return
            elif code not in HOPELESS or (code == UNREACHABLE and self._has_worked):
                if steady:
                    gap = FIRST_GAP_SECONDS
                log.warning("process %d %s; starting another in %g s", child.pid, _how(code), gap)
                await self._pause(child, gap)
                gap = min(2 * gap, LONGEST_GAP_SECONDS)
            elif self._reloader is not None:
                log.warning("process %d cannot work like this; waiting for a change", child.pid)
                await self._pause(child, None)
            elif child.number and self._children[0].process is not None:
                await self._pause(child, gap)  # the first child logs the problem for all
                gap = min(2 * gap, LONGEST_GAP_SECONDS)
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
        link = self._vitals.linked(child.number)
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=environment(child.number, link.theirs.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            process_group=0,
            pass_fds=[link.theirs.fileno()],
        )
        child.process = process
        link.started()
        log.info("process %d started", process.pid)
        if self._stopping.is_set() or child.restarting:
            child.send(signal.SIGTERM)
        code = await process.wait()
        child.ended()
        await link.ended()
        self._vitals.unlinked(child.number)
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
        self._stop((signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL)[min(self._signals, 3) - 1])

    def _restart(self) -> None:
        for child in self._children:
            child.restart()

    def _stop(self, number: int = signal.SIGTERM) -> None:
        self._stopping.set()
        self._vitals.stopping = True
        for child in self._children:
            child.send(number)


class _Child:
    """One of the supervised processes, through all its restarts."""

    def __init__(self, number: int, patience: float) -> None:
        self.number = number
        self._patience = patience
        self._killing: asyncio.TimerHandle | None = None
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
            if self._killing is None and number != signal.SIGKILL:
                loop = asyncio.get_running_loop()
                self._killing = loop.call_later(self._patience, self.send, signal.SIGKILL)

    def ended(self) -> None:
        self.process = None
        if self._killing is not None:
            self._killing.cancel()
            self._killing = None


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
