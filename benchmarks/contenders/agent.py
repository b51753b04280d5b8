"""How a contender is spoken to: the part that runs in its own interpreter, with its own packages.

A contender is one file here that derives from `Agent` and ends with `main(…)`. It is started as

    python -m benchmarks.contenders.NAME ROLE '{"url": …, "options": …, …}'

* ``client``: prepares the store, prints ``ready``, then answers each line on standard input, a JSON
  object with the name of a method in *do*, with one line: *answer*, *unable* or *error*.
* ``crowd``: forks *clients* processes that enqueue one job after the other for *seconds*, at
  *rate* jobs a second in all or as fast as they can; prints *took*, the seconds of each call.
* ``worker``: prints ``ready``, then how many jobs have run whenever that has changed, until
  SIGTERM; then *picked*: what each job passed to `seen`, and *runs*: what `seen.running` kept.

A job's argument *sent* is an instant in seconds since the epoch. Nothing but the standard library
is imported here: contenders bring theirs. `agent.cjs` is the same for Node.js.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import traceback
from array import array
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NoReturn

WARM_UPS = 20
PROGRESS_SECONDS = 0.05
LEAVING_SECONDS = 15.0
_speaking = threading.Lock()


class Unable(Exception):
    """This contender has no such thing, and that is why."""


class Seen:
    """What the jobs of this process saw; called as each job's first line."""

    def __init__(self) -> None:
        self.picked = array("d")
        self.runs: list[tuple[str, float, float]] = []
        self.count = 0
        self.keeps = True

    def __call__(self, sent: float) -> None:
        """Keeps the seconds since *sent*: with 0, the instant."""
        self.count += 1
        if self.keeps:
            self.picked.append(time.time() - sent)

    @contextmanager
    def running(self, key: str) -> Iterator[None]:
        """Keeps when the job of that key began and ended, by the clock that all processes share."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.runs.append((key, began, time.monotonic()))


seen = Seen()


class Agent:
    """A queue to be measured. What it cannot do it says with Unable."""

    loops: ClassVar[Sequence[str]] = ("uvloop", "asyncio")

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.url = url
        self.options = options

    async def install(self) -> None:
        """Makes what it needs in an empty store."""

    async def open(self) -> None:
        """Connects a client."""

    async def close(self) -> None:
        """Disconnects it."""

    async def enqueue(self, sent: float) -> None:
        """One job, durable as the store's settings say when this returns."""
        raise Unable("no single jobs")

    async def fill(
        self,
        count: int,
        *,
        sent: float = 0.0,
        priorities: int = 1,
        size: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """Many jobs at once, taking turns in their *priorities*.

        *size*: characters that each carries beside; *seconds*: how long each rests.
        """
        raise Unable("no bulk enqueue")

    async def fill_limited(self, count: int, *, keys: int, limit: int, seconds: float) -> None:
        """Many jobs at once, taking turns in their keys, *limit* at a time of each in all workers.

        Each rests *seconds* within `seen.running`. Workers find both numbers in their options.
        """
        raise Unable("no limit of how many jobs of a key run at once")

    async def schedule(self, due: list[float]) -> None:
        """Jobs that start at these instants; *sent* is the instant."""
        raise Unable("no scheduled jobs")

    async def unfinished(self) -> bool:
        """Whether there is a job that is not durably done."""
        raise NotImplementedError

    async def ended(self) -> float | None:
        """When the last job was durably done, if the store says so more exactly than asking."""
        return None

    async def done(self) -> list[float]:
        """Seconds from each *sent* until its job's end was durable."""
        raise Unable("does not keep when a job was done")

    async def graph(self, parents: list[list[int]]) -> None:
        """As many jobs as *parents*, each with those before it."""
        raise Unable("no dependencies between jobs")

    async def hops(self) -> list[float]:
        """Seconds from the end of the last parent until its child was claimed, of all children."""
        raise Unable("no dependencies between jobs")

    async def stock(self, waiting: int, scheduled: int, finished: int) -> None:
        """Puts so many jobs into the store by the shortest way."""
        raise Unable("its tables are not ours to fill")

    async def cycle(self, count: int) -> float:
        """Claims and completes *count* jobs one by one; the seconds that took."""
        raise Unable("no verb to claim a single job")

    async def work(self, concurrency: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Works, from calling *ready* until *stop* is set."""
        raise NotImplementedError


def payload(size: int) -> str:
    """So many characters that no compression makes much smaller."""
    return os.urandom(size // 2 + 1).hex()[:size]


def main(agent: type[Agent]) -> None:
    """The command line of a contender's file."""
    role, asked = sys.argv[1], json.loads(sys.argv[2])
    made = agent(asked.pop("url"), asked.pop("options"))
    roles: dict[str, Callable[..., None]] = {"client": _client, "crowd": _crowd, "worker": _worker}
    roles[role](made, **asked)


def _run(agent: Agent, coroutine: Coroutine[Any, Any, None]) -> None:
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    wanted = agent.options.get("loop", agent.loops[0])
    if wanted == "uvloop":
        try:
            import uvloop
        except ImportError:
            pass
        else:
            factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(coroutine)


def _client(agent: Agent) -> None:
    _run(agent, _serve(agent))


async def _serve(agent: Agent) -> None:
    await agent.install()
    await agent.open()
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        try:
            began = time.monotonic()
            answer = await getattr(agent, command.pop("do"))(**command)
            reply = {"answer": answer, "seconds": time.monotonic() - began}
        except Unable as refusal:
            reply = {"unable": str(refusal)}
        except Exception as problem:
            traceback.print_exc()
            reply = {"error": f"{type(problem).__name__}: {problem}"}
        print(json.dumps(reply), flush=True)
    await agent.close()


def _crowd(agent: Agent, clients: int, seconds: float, rate: float | None) -> None:
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(clients)
    answers: Any = fork.SimpleQueue()

    def run() -> None:
        try:
            each = None if rate is None else rate / clients
            _run(agent, _one_client(agent, barrier, answers, seconds, each))
        except BaseException as problem:
            barrier.abort()
            answers.put(f"{type(problem).__name__}: {problem}")
            raise

    crew = [fork.Process(target=run) for _ in range(clients)]
    for process in crew:
        process.start()
    collected = [answers.get() for _ in crew]
    for process in crew:
        process.join()
    problems = [answer for answer in collected if isinstance(answer, str)]
    if problems:
        sys.exit(problems[0])
    _last_word({"took": [spent for took in collected for spent in took]})


async def _one_client(
    agent: Agent, barrier: Any, answers: Any, seconds: float, rate: float | None
) -> None:
    await agent.open()
    for _ in range(WARM_UPS):
        await agent.enqueue(0.0)
    barrier.wait()
    took: list[float] = []
    due = time.monotonic()
    end = due + seconds
    while time.monotonic() < end:
        if rate is not None:
            due += random.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        began = time.time()
        await agent.enqueue(began)
        took.append(time.time() - began)
    answers.put(took)
    await agent.close()


def _worker(agent: Agent, concurrency: int, keep: bool) -> None:
    seen.keeps = keep
    _run(agent, _work(agent, concurrency))


async def _work(agent: Agent, concurrency: int) -> NoReturn:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def ready() -> None:
        print("ready", flush=True)
        threading.Thread(target=_tell, daemon=True).start()

    working = asyncio.ensure_future(agent.work(concurrency, ready, stop))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({working}, timeout=LEAVING_SECONDS)  # some do not stop when they are idle
    if working.done():
        working.result()
    _speaking.acquire()
    _last_word({"picked": seen.picked.tolist(), "runs": seen.runs})


def _last_word(report: dict[str, Any]) -> NoReturn:
    """Leaves without waiting for threads that a library left behind."""
    unsaid = memoryview(json.dumps(report).encode() + b"\n")
    while unsaid:  # a signal may cut a write short
        unsaid = unsaid[os.write(1, unsaid) :]
    os._exit(0)


def _tell() -> None:
    printed, parent = 0, os.getppid()
    while True:
        time.sleep(PROGRESS_SECONDS)
        if os.getppid() != parent:
            os._exit(1)  # nobody listens
        if seen.count != printed:
            printed = seen.count
            with _speaking:
                print(printed, flush=True)
