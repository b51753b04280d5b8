"""What a campaign stands on: a store that dies and comes back, a queue of the broker's, workers."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pika.adapters.blocking_connection import BlockingChannel

from pgqueue import App, embedded
from pgqueue.jobs.job import Job
from pgqueue.migrations import migrate
from pgqueue.operations import inspections
from tests import valkey
from tests.bridges.rabbit import Rabbit
from tests.worker.process import eventually

ROOT = Path(__file__).parents[2]
STORES = ("postgres", "sqlite", "redis")
SETTLED = "CREATE TABLE settled (n bigint NOT NULL)"
"""Without a unique index: a row too many has to show."""


@dataclass(frozen=True)
class Store:
    """Where the jobs live. *crash* ends its server and starts it again, if it has one."""

    kind: str
    url: str
    crash: Callable[[], None] | None = None

    def rows(self) -> list[int] | None:
        """What the tasks have written in transactions of their jobs; None: it has none."""
        query = "SELECT n FROM settled ORDER BY n"
        if self.kind == "postgres":
            with psycopg.connect(self.url) as server:
                return [n for (n,) in server.execute(query)]
        if self.kind == "sqlite":
            with sqlite3.connect(self.url.removeprefix("sqlite:///")) as file:
                return [n for (n,) in file.execute(query)]
        return None


@contextmanager
def store(kind: str, folder: Path) -> Iterator[Store]:
    """A store of this *kind*, migrated and empty, for as long as the block lasts."""
    if kind == "postgres":
        with embedded.start(None, ephemeral=True) as server:
            migrate(server.url)
            with psycopg.connect(server.url) as connection:
                connection.execute(SETTLED)
            yield Store(kind, server.url, lambda: server.restart("immediate"))
    elif kind == "redis":
        with valkey.server("--appendonly", "yes", "--appendfsync", "always") as server_:

            def crash() -> None:
                server_.stop(signal.SIGKILL)
                server_.start()

            yield Store(kind, server_.url, crash)
    else:
        url = f"sqlite:///{folder}/jobs.db"
        migrate(url)
        with sqlite3.connect(f"{folder}/jobs.db") as file:
            file.execute(SETTLED)
        yield Store(kind, url)


@dataclass(frozen=True)
class Place:
    """A durable queue of the broker's, *classic* or *quorum*."""

    rabbit: Rabbit
    name: str
    kind: str = "classic"

    def declare(self, channel: BlockingChannel) -> int:
        """Makes it unless it is there; answers how many messages are ready in it."""
        told = channel.queue_declare(self.name, durable=True, arguments={"x-queue-type": self.kind})
        return int(told.method.message_count)

    def make(self) -> None:
        with self.rabbit.connect() as connection:
            self.declare(connection.channel())

    def remove(self) -> None:
        with self.rabbit.connect() as connection:
            connection.channel().queue_delete(self.name)

    def held(self) -> int:
        """How many messages the broker holds, those that somebody has in hand among them."""
        told = self.rabbit.control("list_queues", "-q", "--no-table-headers", "name", "messages")
        counts = dict(line.split("\t") for line in told.splitlines() if "\t" in line)
        return int(counts[self.name])


class Process:
    """A worker process, killed and started again; *flags* are those of `pgqueue.worker`."""

    def __init__(self, environment: dict[str, str], log: Path, *flags: str) -> None:
        self._environment, self._log, self._flags = environment, log, flags
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pgqueue.worker"),
                    *("tests.bridges.campaign_shop:app", *self._flags),
                ],
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def workers(
    environment: dict[str, str], folder: Path, *flags: str, number: int = 2
) -> Iterator[list[Process]]:
    """Processes, for as long as the block lasts."""
    running = [Process(environment, folder / f"worker-{n}.log", *flags) for n in range(number)]
    try:
        yield running
    finally:
        for each in running:
            each.kill()


def ended(app: App, number: int = 0, *, within: float = 120) -> list[Job]:
    """All jobs, once there are *number* of them and none waits or runs."""

    def done() -> list[Job] | None:
        counted = app.execute(inspections.count()).counts
        assert not counted, f"still there: {counted}"
        found = listed(app)
        assert len(found) >= number, f"{len(found)} of {number} jobs are there"
        return found

    if not number and not listed(app):
        return []
    return eventually(done, within=within)


def listed(app: App) -> list[Job]:
    """All jobs, the newest first."""
    found: list[Job] = []
    before = None
    while len(page := app.execute(inspections.list_jobs(limit=1_000, before=before))):
        found += page
        before = page[-1].id
    return found
