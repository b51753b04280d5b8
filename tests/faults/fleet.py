"""The fleet: worker processes, each in a slot; a killed worker is followed by another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from time import monotonic, sleep

import psutil

from tests.faults import journal, pace, ration
from tests.faults.facts import Worker

ROOT = Path(__file__).parents[2]
CONCURRENCY = 6
GRACE = 2.0
OPTIONS = {
    "queues": ",".join(("default", *ration.QUEUES)),
    "concurrency": str(CONCURRENCY),
    "pool-processes": "2",
    "grace": str(GRACE),
}


class Process:
    """One worker process."""

    def __init__(self, slot: str, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.slot = slot
        self.name = name
        self.process = process
        self.log = log
        self.asked = False
        self.hung = False

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    @property
    def started(self) -> bool:
        return b" started: " in self.log.read_bytes()

    def pool(self) -> list[psutil.Process]:
        """The processes that run tasks for it."""
        with suppress(psutil.Error):
            return psutil.Process(self.process.pid).children()
        return []

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Fleet:
    """Workers of one round. *code*: a folder whose pgqueue they run instead of the checkout's."""

    def __init__(
        self,
        folder: Path,
        environment: Callable[[str, str], Mapping[str, str]],
        slots: int,
        code: Path | None = None,
    ) -> None:
        self.folder = folder
        self._environment = environment
        self._code = code
        self.version: dict[str, int] = {}
        self.extra: dict[str, Mapping[str, str]] = {}
        self.processes: dict[str, Process] = {f"w{number}": None for number in range(1, slots + 1)}  # type: ignore[misc]
        self._records: dict[str, Worker] = {}
        self._lock = threading.RLock()

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def start(self) -> None:
        for slot in self.processes:
            self.launch(slot)

    def launch(self, slot: str) -> Process:
        """Starts a worker in *slot*, whose last one has ended."""
        with self._lock:
            number = sum(record.name.startswith(f"{slot}.") for record in self._records.values())
            name = f"{slot}.{number + 1}"
            log = self.folder / f"{name}.log"
            flags = [
                word
                for key, value in {**OPTIONS, **pace.options()}.items()
                for word in (f"--{key}", value)
            ]
            with log.open("wb") as file:
                process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "pgqueue.worker", *flags, "--name", name),
                        "tests.faults.shop:app",
                    ],
                    cwd=self._code or ROOT,
                    env={
                        **os.environ,
                        "PYTHONPATH": f"{self._code or ''}{os.pathsep}{ROOT}",
                        journal.VARIABLE: str(self.journal),
                        journal.WORKER_VARIABLE: name,
                        "FAULTS_VERSION": str(self.version.get(slot, 0)),
                        **self._environment(slot, name),
                        **self.extra.get(slot, {}),
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                )
            worker = self.processes[slot] = Process(slot, name, process, log)
            self._records[name] = Worker(name, CONCURRENCY, monotonic(), ready_at=inf)
            return worker

    def end(self, worker: Process, number: signal.Signals) -> None:
        """Ends it with a signal, and notes when it was gone."""
        worker.asked = True
        worker.send(number)
        try:
            worker.process.wait(60)
        except subprocess.TimeoutExpired:
            worker.hung = True
            worker.send(signal.SIGKILL)
            worker.process.wait(60)
        self._gone(worker)

    def relaunch(self, slot: str) -> None:
        """Starts a worker in *slot* if there is none."""
        with self._lock:
            if not self.processes[slot].lives:
                self._gone(self.processes[slot])
                self.launch(slot)

    def look(self) -> None:
        """Notes which workers have ended by themselves, replaces them; and which have joined."""
        with self._lock:
            for worker in self.living():
                record = self._records[worker.name]
                if record.ready_at == inf and worker.started:
                    self._records[worker.name] = replace(record, ready_at=monotonic())
            for slot, worker in self.processes.items():
                if not worker.lives and not worker.asked:
                    self.relaunch(slot)

    def living(self) -> list[Process]:
        return [worker for worker in self.processes.values() if worker.lives]

    def at_work(self) -> set[str]:
        """The names of workers that have unfinished runs."""
        hands: Counter[str] = Counter()
        for line in journal.read(self.journal):
            if line.run != "-":
                hands[line.worker] += 1 if line.what == "start" else -1
        return {name for name, runs in hands.items() if runs > 0}

    def await_start(self, patience: float = 60) -> None:
        deadline = monotonic() + patience
        while not all(worker.started for worker in self.living()) and monotonic() < deadline:
            sleep(0.02)

    def records(self) -> list[Worker]:
        return list(self._records.values())

    def stop(self) -> None:
        """Ends all of them, at once."""
        for worker in self.living():
            worker.asked = True
            children = worker.pool()
            worker.send(signal.SIGKILL)
            worker.process.wait(60)
            for child in children:
                with suppress(psutil.Error):
                    child.kill()
            self._gone(worker)

    def _gone(self, worker: Process) -> None:
        with self._lock:
            record = self._records[worker.name]
            if record.ended_at == inf:
                self._records[worker.name] = replace(
                    record,
                    ended_at=monotonic(),
                    asked=worker.asked,
                    exit_code=worker.process.returncode,
                    hung=worker.hung,
                )
