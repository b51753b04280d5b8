"""Very many jobs, each act by one command that is interrupted and killed, beside others at work.

`python -m tests.cli.many` cancels, retries, dumps, purges and imports 100,000 jobs on PostgreSQL,
SQLite and Valkey, and prints how long that took and whom it held up. Each command is interrupted
once (Ctrl-C), killed once, when its progress bar shows that it is at work, and then repeated. It
fails if a count is not exact, or if a transaction, or an enqueue of others, took a second.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any, Self

import psycopg

from pgqueue import App, Filter, embedded, migrations
from pgqueue.copying.dumping import JobLine, lines
from pgqueue.operations.choosing import PORTION
from tests import valkey
from tests.cli.terminal import ROOT
from tests.conftest import fastest_folder

STORES = ("postgres", "sqlite", "redis")
LONGEST_SECONDS = 1.0
PATIENCE = 1_800.0
COMMAND = "from pgqueue.cli import main; main()"


class Watch:
    """While it is entered: the longest transaction of others, and the slowest enqueue.

    Only PostgreSQL tells of transactions; elsewhere an enqueue waits for whoever takes long.
    """

    def __init__(self, app: App, url: str) -> None:
        self._app = app
        self._url = url
        self._done = threading.Event()
        self.longest = self.slowest = 0.0
        self.statement = ""
        self.enqueued = 0

    def __enter__(self) -> Self:
        works = [self._enqueue, *([self._look] if self._url.startswith("postgresql:") else [])]
        self._threads = [threading.Thread(target=work) for work in works]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._done.wait(0.005):
                row = connection.execute(
                    "SELECT extract(epoch FROM clock_timestamp() - xact_start)::float8, query "
                    "FROM pg_stat_activity WHERE backend_type = 'client backend' "
                    "AND datname = current_database() AND pid <> pg_backend_pid() "
                    "AND xact_start IS NOT NULL ORDER BY 1 DESC LIMIT 1"
                ).fetchone()
                if row is not None and row[0] > self.longest:
                    self.longest, self.statement = row

    def _enqueue(self) -> None:
        @self._app.task(name="other", queue="other")
        def other() -> None: ...

        while not self._done.wait(0.002):
            began = monotonic()
            self._app.enqueue(other.job())
            self.slowest = max(self.slowest, monotonic() - began)
            self.enqueued += 1


@dataclass(frozen=True)
class Place:
    """Where the jobs are, and a folder for files."""

    url: str
    schema: str
    folder: Path


class Command:
    """`pgqueue jobs …` with a terminal for its progress bar."""

    def __init__(self, place: Place, *words: object) -> None:
        self._screen, shown = pty.openpty()
        self.shown = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "jobs", *map(str, words)],
            env={
                **os.environ,
                "PGQUEUE_URL": place.url,
                "PGQUEUE_SCHEMA": place.schema,
                "TERM": "xterm",
                "COLUMNS": "200",
                "PYTHONPATH": str(ROOT),
            },
            stdin=subprocess.DEVNULL,
            stdout=shown,
            stderr=shown,
        )
        os.close(shown)
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def is_at_work(self) -> bool:
        """Wait until the bar shows that some jobs are done; False if the command ended before."""
        deadline = monotonic() + PATIENCE
        while not re.search(r"[1-9]\d*/(\d+|\?)", self.shown):
            if self._process.poll() is not None:
                return False
            assert monotonic() < deadline, self.shown
            sleep(0.005)
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ends(self) -> int:
        code = self._process.wait(PATIENCE)
        self._reading.join()
        os.close(self._screen)
        return code

    def _read(self) -> None:
        try:
            while read := os.read(self._screen, 65_536):
                self.shown += read.decode("utf-8", "replace")
        except OSError:  # what Linux says at the end
            pass


@dataclass(frozen=True)
class Figure:
    """What one act took, in all its runs, and how many of these were cut short."""

    act: str
    seconds: float
    strikes: int


class Play:
    """The acts on *count* jobs at *place*, one after the other."""

    def __init__(self, place: Place, count: int) -> None:
        self._place = place
        self._count = count
        self.app = App(place.url, schema=place.schema)

    def close(self) -> None:
        self.app.close()

    def fill(self) -> None:
        @self.app.task(name="many", queue="many", max_attempts=1)
        def many(n: int) -> None: ...

        for start in range(0, self._count, 5_000):
            jobs = range(start, min(self._count, start + 5_000))
            self.app.enqueue([many.job(n) for n in jobs])

    def acts(self) -> Iterator[Figure]:
        """Do all to all of them; raises AssertionError when a count is wrong."""
        chosen = ("--queue", "many")
        dump, gone = self._place.folder / "all.jsonl", self._place.folder / "gone.jsonl.gz"
        rest = self._place.folder / "rest.jsonl.gz"
        yield self._does("cancel", ("cancel", *chosen, "-y"))
        self._are("cancelled")
        yield self._does("retry", ("retry", *chosen, "--state", "cancelled", "-y"))
        self._are("available")
        yield self._does("dump", ("dump", dump, *chosen))
        assert self._written(dump) == self._ids()
        self.app.jobs.cancel(Filter(queue="many"))
        known = self._ids()
        purge = ("purge", *chosen, "-y", "--dump")
        yield self._does("purge --dump", (*purge, gone), (*purge, rest))
        self._are(None)
        written = self._written(gone, rest)
        assert written.keys() == known.keys()
        assert written.total() - len(known) <= 2 * PORTION, "a portion that was written is repeated"
        yield self._does("import", ("import", dump))
        self._are("available")
        again = Command(self._place, "import", dump)
        assert again.ends() == 1
        assert "was imported before" in again.shown

    def _does(self, act: str, first: Sequence[object], last: Sequence[object] = ()) -> Figure:
        """Interrupt the command, kill it when it is given again, and give it once more."""
        began, strikes = monotonic(), 0
        for number in (signal.SIGINT, signal.SIGKILL):
            command = Command(self._place, *first)
            if command.is_at_work():
                command.send(number)
                strikes += 1
            code = command.ends()
            assert code in (0, 1, -signal.SIGKILL), command.shown
            if code == 0:
                break
        if strikes == 0 or code != 0:
            command = Command(self._place, *(last or first))
            assert command.ends() == 0, command.shown
        return Figure(act, monotonic() - began, strikes)

    def _are(self, state: str | None) -> None:
        """All of them are in *state*; with None there are none."""
        all_of_them = Filter(queue="many")
        assert self.app.jobs.count(all_of_them, most=2 * self._count) == (
            (self._count if state else 0),
            True,
        )
        if state:
            some = Filter(queue="many", state=state)
            assert self.app.jobs.count(some, most=2 * self._count) == (self._count, True)

    def _ids(self) -> Counter[int]:
        found = self.app.jobs.list(Filter(queue="many"), limit=2 * self._count)
        assert len(found) == self._count
        return Counter(job.id for job in found)

    def _written(self, *paths: Path) -> Counter[int]:
        """How often each job is in these files."""
        there = [path for path in paths if path.exists()]
        return Counter(
            line.job.id for path in there for line in lines(path) if isinstance(line, JobLine)
        )


@contextmanager
def opened(store: str, folder: Path) -> Iterator[Place]:
    """A store of that name, for this play alone, that keeps what it has been told."""
    with ExitStack() as stack:
        if store == "postgres":
            server = stack.enter_context(embedded.start(fastest_folder(), ephemeral=True))
            url = server.url
        elif store == "sqlite":
            url = f"sqlite:///{folder}/jobs.db"
        else:
            url = stack.enter_context(valkey.server()).url
        if store != "redis":
            migrations.migrate(url)
        yield Place(url, "pgqueue", folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--stores", default=",".join(STORES))
    given = parser.parse_args()
    late = []
    for store in given.stores.split(","):
        with TemporaryDirectory() as folder, opened(store, Path(folder)) as place:
            if _play(store, place, given.jobs) >= LONGEST_SECONDS:
                late.append(store)
    if late:
        sys.exit(f"somebody was held up for a second, or the machine was busy: {', '.join(late)}")


def _play(store: str, place: Place, count: int) -> float:
    """Print the figures; answer the seconds of the longest transaction, or enqueue of others."""
    play = Play(place, count)
    try:
        play.fill()
        with Watch(play.app, place.url) as watch:
            for figure in play.acts():
                rate = f"{count / figure.seconds:,.0f} jobs/s"
                print(f"{store:9} {figure.act:13} {figure.seconds:6.1f} s {rate:>16}", end=" ")
                print(f"cut short {figure.strikes} times", flush=True)
        longest = f", longest transaction {watch.longest:.3f} s" if watch.longest else ""
        if watch.longest >= LONGEST_SECONDS:
            longest += f", in:\n{watch.statement}"
        print(f"{store:9} {watch.enqueued:,} enqueues of others, the slowest took", end=" ")
        print(f"{watch.slowest:.3f} s{longest}", flush=True)
        others: Any = play.app.jobs.count(Filter(queue="other"), most=10_000_000)
        assert others == (watch.enqueued, True)
        return max(watch.longest, watch.slowest)
    finally:
        play.close()


if __name__ == "__main__":
    main()
