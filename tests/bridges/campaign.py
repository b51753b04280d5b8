"""What is committed is published, and nothing else, whatever dies; checked by another client.

`python -m tests.bridges` plays it at length; `--count` and `--faults` make it shorter.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pika
import psycopg

from pgqueue import App, enqueue
from pgqueue.bridges import amqp
from pgqueue.jobs.job import Job, State
from pgqueue.operations import inspections
from tests.bridges.rabbit import Rabbit
from tests.worker.process import eventually

KEYS = 5
IN_HAND = 100
FAULT_SECONDS = 1.0
"""How long an alarm lasts, or a broker stays frozen."""
REST_SECONDS = 0.3
"""Between two faults."""
ROOT = Path(__file__).parents[2]


@dataclass
class Found:
    """What the broker handed out: number and id of each message, in the order of arrival."""

    came: list[tuple[int, str]] = field(default_factory=list)

    def complaints(self, committed: dict[int, str], kills: int) -> Iterator[str]:
        """What went wrong; *committed* are the numbers and ids that had to come."""
        numbers = [n for n, _ in self.came]
        if lost := committed.keys() - set(numbers):
            yield f"{len(lost)} committed messages never came: {sorted(lost)[:5]}"
        if ghosts := set(numbers) - committed.keys():
            yield f"{len(ghosts)} messages came that were rolled back: {sorted(ghosts)[:5]}"
        if wrong := [n for n, id in self.came if committed.get(n, id) != id]:
            yield f"{len(wrong)} messages came under another id: {wrong[:5]}"
        repeats = len(numbers) - len(set(numbers))
        if repeats > kills * IN_HAND:
            yield f"{repeats} repeats after {kills} faults, more than what was in flight"
        for key in range(KEYS):
            first = [n for n in dict.fromkeys(numbers) if n % KEYS == key]
            if first != sorted(first):
                yield f"key {key}: first arrivals are out of order"


class Reader:
    """Reads the broker's queue to the end, with a client library that is not pgqueue's."""

    def __init__(self, rabbit: Rabbit, queue: str, found: Found) -> None:
        self._rabbit, self._queue, self._found = rabbit, queue, found
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            with suppress(pika.exceptions.AMQPError, OSError), self._rabbit.connect() as connection:
                channel = connection.channel()
                channel.queue_declare(self._queue, durable=True)
                while not self._stop.is_set():
                    told, properties, body = channel.basic_get(self._queue)
                    if told is None:
                        connection.sleep(0.02)
                        continue
                    this = (int(body), properties.message_id)
                    # Redelivered, it may be one that we had, whose acknowledgement got lost.
                    if not told.redelivered or this not in self._found.came[-IN_HAND:]:
                        self._found.came.append(this)
                    channel.basic_ack(told.delivery_tag)
            time.sleep(0.05)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class Bridge:
    """A `pgqueue bridge` process, killed and started again."""

    def __init__(self, environment: dict[str, str], log: Path, *names: str) -> None:
        self._environment, self._log, self._names = environment, log, names
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pgqueue", "bridge"),
                    *("tests.bridges.campaign_shop:app", *self._names, "-c", str(IN_HAND // 2)),
                ],
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def bridges(
    environment: dict[str, str], folder: Path, *names: str, number: int = 2
) -> Iterator[list[Bridge]]:
    """Processes, for as long as the block lasts."""
    running = [Bridge(environment, folder / f"bridge-{n}.log", *names) for n in range(number)]
    try:
        yield running
    finally:
        for each in running:
            each.kill()


def faults(rabbit: Rabbit, running: list[Bridge]) -> dict[str, Callable[[], None]]:
    """What can be done to a campaign, by its name; each leaves all running."""

    def worker() -> None:
        victim = random.choice(running)
        victim.kill()
        victim.start()

    def broker() -> None:
        rabbit.kill()
        rabbit.start()

    def connections() -> None:
        rabbit.control("close_all_connections", "campaign")

    def alarm() -> None:
        rabbit.control("set_vm_memory_high_watermark", "0.00001")
        time.sleep(FAULT_SECONDS)
        rabbit.control("set_vm_memory_high_watermark", "0.4")

    def frozen() -> None:
        rabbit.freeze()
        time.sleep(FAULT_SECONDS)
        rabbit.thaw()

    return {
        "worker": worker,
        "broker": broker,
        "connections": connections,
        "alarm": alarm,
        "frozen": frozen,
    }


def commit(url: str, count: int, queue: str, pace: float, done: dict[int, str]) -> None:
    """Enqueue *count* messages, each in a transaction of its own; every second is rolled back."""
    app = App()
    out = app.outlet("out", amqp.Exchange(""))
    with psycopg.connect(url) as connection:
        for n in range(count):
            id = f"id-{n}"
            enqueue(connection, out.message(n, to=queue, key=f"k{n % KEYS}", id=id))
            if random.random() < 0.5:
                connection.rollback()
            else:
                connection.commit()
                done[n] = id
            time.sleep(pace)


def outlet(
    rabbit: Rabbit, url: str, folder: Path, *, count: int, rounds: list[str], pace: float
) -> list[str]:
    """Play the campaign, and return what went wrong."""
    queue, done, found = f"campaign-{os.getpid()}", dict[int, str](), Found()
    environment = {"CAMPAIGN_STORE": url, "CAMPAIGN_AMQP": rabbit.url}
    with rabbit.connect() as connection:
        connection.channel().queue_declare(queue, durable=True)
    reader = Reader(rabbit, queue, found)
    committing = threading.Thread(target=commit, args=(url, count, queue, pace, done))
    try:
        with bridges(environment, folder, "out") as running:
            committing.start()
            acts = faults(rabbit, running)
            for name in rounds:
                acts[name]()
                time.sleep(REST_SECONDS)
            committing.join()
            ended = _until_done(App(url))
            with suppress(AssertionError):  # what never comes is a complaint
                eventually(lambda: done.keys() <= {n for n, _ in list(found.came)}, within=30)
    finally:
        reader.stop()
    spent = [job.id for job in ended if job.state is not State.COMPLETED]
    complaints = list(found.complaints(done, len(rounds)))
    return complaints + ([f"{len(spent)} messages are not sent: {spent[:5]}"] if spent else [])


def _until_done(app: App) -> list[Job]:
    """All jobs, once none of them waits or runs."""

    def done() -> bool:
        counted = app.execute(inspections.count()).counts
        assert not counted, f"still there: {counted}"
        return True

    eventually(done, within=120)
    found: list[Job] = []
    before = None
    while len(page := app.execute(inspections.list_jobs(limit=1_000, before=before))):
        found += page
        before = page[-1].id
    app.close()
    return found
