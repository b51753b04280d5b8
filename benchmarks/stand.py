"""One contender on an empty store: its client, its workers, and the crowds that enqueue."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

from benchmarks.contenders import Contender
from benchmarks.stores import Store
from benchmarks.venvs import ROOT, Environments

START_SECONDS = 120.0
CLIENT_SECONDS = 900.0
STALLED_SECONDS = 60.0
PATIENCE_SECONDS = 90.0
LEAVING_SECONDS = 60.0
NEARLY = 0.95


class Unsupported(Exception):
    """A contender cannot do this, and why."""


class Failed(Exception):
    """A contender failed at what it should be able to do; with its error."""


class Stand:
    """What a scenario is given."""

    def __init__(
        self, store: Store, url: str, contender: Contender, environments: Environments
    ) -> None:
        self.store = store
        self.url = url
        self.contender = contender
        self._command, self._environment = environments.command(contender)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            self._client = self._start("client")
            self._stack.callback(self._client.end)
            self.store.settle()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def jobs(self, wanted: int) -> int:
        """As many jobs as this contender can do in a reasonable time."""
        return min(wanted, self.contender.most)

    def ask(self, do: str, *, patience: float = CLIENT_SECONDS, **arguments: Any) -> Any:
        """What the client answers. Raises Unsupported, Failed."""
        return self._ask(do, patience, **arguments)["answer"]

    def seconds(self, do: str, **arguments: Any) -> float:
        """How long the client takes for it."""
        return float(self._ask(do, CLIENT_SECONDS, **arguments)["seconds"])

    def dismiss_client(self) -> None:
        """From now on, only workers are connected."""
        self._client.end()

    def _ask(self, do: str, patience: float, **arguments: Any) -> dict[str, Any]:
        command = json.dumps({"do": do, **arguments})
        answer: dict[str, Any] = json.loads(self._client.ask(command, patience))
        if "unable" in answer:
            raise Unsupported(answer["unable"])
        if "error" in answer:
            raise Failed(" ".join(answer["error"].split())[:300])
        return answer

    def crowd(
        self, clients: int, seconds: float, rate: float | None = None, **options: str
    ) -> list[float]:
        """How long each call of all *clients* took, in ascending order.

        *options* are for the agent, beside those of its contender.
        """
        options = {**self.contender.options, **options}
        crowd = self._start("crowd", clients=clients, seconds=seconds, rate=rate, options=options)
        try:
            return sorted(json.loads(crowd.line(START_SECONDS + seconds))["took"])
        finally:
            crowd.end()

    @contextlib.contextmanager
    def crew(
        self, processes: int = 1, concurrency: int = 100, keep: bool = True, **options: Any
    ) -> Iterator[Crew]:
        """Worker processes, from being ready until the block ends.

        *options* are for their agents, beside those of their contender.
        """
        options = {**self.contender.options, **options}
        with contextlib.ExitStack() as stack:
            started: list[Agent] = []
            for _ in range(processes):
                started.append(
                    self._start(
                        "worker", False, concurrency=concurrency, keep=keep, options=options
                    )
                )
                stack.callback(started[-1].kill)
            for agent in started:
                agent.await_ready()
            crew = Crew(started)
            yield crew
            crew.dismiss()

    def await_executed(self, crew: Crew, count: int) -> None:
        """Until so many have run. Raises Failed when nothing moves, or a worker is gone."""
        patience = _Patience(crew, count)
        while crew.executed < count:
            patience.check()
            time.sleep(0.005)

    def await_done(self, crew: Crew, count: int) -> float:
        """Until all that was enqueued, *count* jobs or more, is durably done; the instant.

        The store is asked when nearly all have run; often, but not so that it would notice.
        """
        self.await_executed(crew, int(count * NEARLY))
        patience = _Patience(crew, count)
        while True:
            asked, began = time.time(), time.monotonic()
            if not self.ask("unfinished", patience=PATIENCE_SECONDS):
                return float(self.ask("ended") or asked)
            patience.check()
            time.sleep(max(0.005, 10 * (time.monotonic() - began)))

    def _start(self, role: str, wait: bool = True, **arguments: Any) -> Agent:
        asked = {"url": self.url, "options": dict(self.contender.options), **arguments}
        command = [*self._command, role, json.dumps(asked)]
        agent = Agent(command, self._environment, self._folder, role)
        if wait and role == "client":
            try:
                agent.await_ready()
            except BaseException:
                agent.kill()
                raise
        return agent


class Agent:
    """A process that speaks the protocol of `benchmarks.contenders.agent`."""

    def __init__(
        self, command: list[str], environment: dict[str, str], folder: Path, role: str
    ) -> None:
        self._role = role
        self._errors = tempfile.TemporaryFile("w+", dir=folder)  # noqa: SIM115 - closed by `kill`
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if role == "client" else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=environment,
            start_new_session=True,  # an interrupt is for us, who then end it, and what it started
        )
        self.executed = 0
        self.report: dict[str, Any] | None = None
        self._lines: list[str] = []
        self._heard = threading.Condition()
        self._closed = False
        assert self._process.stdout is not None
        output = self._process.stdout
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def await_ready(self) -> None:
        if (line := self.line(START_SECONDS)) != "ready":
            raise Failed(f"its {self._role} said {line[:200]!r} instead of being ready")

    def ask(self, line: str, patience: float) -> str:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Failed(self._last_words()) from None
        return self.line(patience)

    def line(self, patience: float) -> str:
        """Return the next line of the agent; raises Failed if it has ended or is silent."""
        with self._heard:
            if not self._heard.wait_for(lambda: self._lines or self._closed, patience):
                raise Failed(f"its {self._role} says nothing for {patience:.0f} s")
            if self._lines:
                return self._lines.pop(0)
        raise Failed(self._last_words())

    def check(self) -> None:
        """Raises Failed when the process is gone."""
        if self._closed:
            raise Failed(self._last_words())

    def stop(self) -> None:
        """Asks a worker for its report."""
        self._process.send_signal(signal.SIGTERM)

    def await_report(self) -> dict[str, Any]:
        try:
            self._process.wait(LEAVING_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"does not stop within {LEAVING_SECONDS:.0f} s of SIGTERM") from None
        self._end_group()
        if self.report is None:
            raise Failed(self._last_words())
        return self.report

    def end(self) -> None:
        """Lets a client or a crowd go."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self.kill()

    def kill(self) -> None:
        self._end_group()
        self._errors.close()

    def _end_group(self) -> None:
        """The process and whatever it has left behind, which would hold our pipe open."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            text = line.rstrip("\n")
            if text.isdecimal():
                self.executed = int(text)
            elif text.startswith('{"picked"'):
                self.report = json.loads(text)
            else:
                with self._heard:
                    self._lines.append(text)
                    self._heard.notify_all()
        with self._heard:
            self._closed = True
            self._heard.notify_all()

    def _last_words(self) -> str:
        self._process.wait(5)
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        words = [line for line in lines if not line.startswith(" ")][-1:] or lines[-1:]
        return f"its {self._role} ended: {words[0][:300] if words else self._process.returncode}"


class Crew:
    """Workers that work; after `dismiss` there are their reports."""

    def __init__(self, agents: list[Agent]) -> None:
        self._agents = agents
        self._picked: list[float] = []
        #: Key, begin and end of each job that noted its run.
        self.runs: list[tuple[str, float, float]] = []

    @property
    def pids(self) -> list[int]:
        return [agent.pid for agent in self._agents]

    @property
    def executed(self) -> int:
        """How many jobs have run, a twentieth of a second ago."""
        return sum(agent.executed for agent in self._agents)

    def check(self) -> None:
        for agent in self._agents:
            agent.check()

    def dismiss(self) -> None:
        for agent in self._agents:
            agent.stop()
        for agent in self._agents:
            report = agent.await_report()
            self._picked += report["picked"]
            self.runs += [(key, began, ended) for key, began, ended in report["runs"]]
        self._picked.sort()
        self._agents = []

    @property
    def latencies(self) -> list[float]:
        """Seconds from each *sent* to its job's first line, in ascending order."""
        return [seconds for seconds in self._picked if seconds < 1e9]

    @property
    def starts(self) -> list[float]:
        """The instants at which jobs without a *sent* started."""
        return [instant for instant in self._picked if instant >= 1e9]

    def began(self, since: float) -> float:
        """When the first of these jobs started, not before *since*."""
        return next((instant for instant in self.starts if instant >= since), since)


class _Patience:
    """Ends when nothing has moved for long, or when it would take far too long."""

    def __init__(self, crew: Crew, count: int) -> None:
        self._crew = crew
        self._count = count
        self._seen = -1
        self._began_at = self._moved_at = time.monotonic()

    def check(self) -> None:
        self._crew.check()
        if self._crew.executed != self._seen:
            self._seen, self._moved_at = self._crew.executed, time.monotonic()
        elif time.monotonic() - self._moved_at > STALLED_SECONDS:
            raise Failed(
                f"stalled: of {self._count:,} jobs {self._seen:,} have run, not all are done"
            )
        if time.monotonic() - self._began_at > PATIENCE_SECONDS:
            raise Failed(
                f"of {self._count:,} jobs {self._seen:,} have run after {PATIENCE_SECONDS:g} s"
            )
