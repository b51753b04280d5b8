"""What is committed is published, and nothing else, whatever dies; checked by another client.

`python -m tests.bridges out` plays it at length; `--count` and `--faults` make it shorter.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pika
import psycopg

from pgqueue import App, enqueue
from pgqueue.bridges import amqp
from pgqueue.errors import StoreUnavailable
from pgqueue.jobs.job import State
from tests.bridges.acts import REST_SECONDS, Acts
from tests.bridges.stands import Place, Store, ended, workers
from tests.worker.process import eventually

KEYS = 20
UNKEYED = 5
"""Of so many messages more, none has a key."""
IN_HAND = 100
QUIET_SECONDS = 1.0


def silent(_: str) -> None:
    """Tells nobody."""


def key_of(n: int) -> str | None:
    rest = n % (KEYS + UNKEYED)
    return f"k{rest}" if rest < KEYS else None


@dataclass
class Committed:
    """Numbers of the messages that were committed; of *perhaps* the answer to COMMIT was lost."""

    surely: set[int] = field(default_factory=set)
    perhaps: set[int] = field(default_factory=set)

    @staticmethod
    def id_of(n: int) -> str:
        return f"id-{n}"


@dataclass
class Found:
    """What the broker handed out: number and id of each message, in the order of arrival."""

    came: list[tuple[int, str]] = field(default_factory=list)

    @property
    def repeats(self) -> int:
        return len(self.came) - len({n for n, _ in self.came})

    def complaints(self, committed: set[int], faults: int) -> Iterator[str]:
        """What went wrong; *committed* are the numbers that had to come."""
        numbers = [n for n, _ in self.came]
        if lost := committed - set(numbers):
            yield f"{len(lost)} committed messages never came: {sorted(lost)[:5]}"
        if ghosts := set(numbers) - committed:
            yield f"{len(ghosts)} messages came that were rolled back: {sorted(ghosts)[:5]}"
        if wrong := [n for n, id in self.came if id != Committed.id_of(n)]:
            yield f"{len(wrong)} messages came under another id: {wrong[:5]}"
        if self.repeats > faults * IN_HAND:
            yield f"{self.repeats} repeats after {faults} faults, more than what was in flight"
        firsts: dict[str, list[int]] = {}
        for n in dict.fromkeys(numbers):
            if (key := key_of(n)) is not None:
                firsts.setdefault(key, []).append(n)
        for key, first in firsts.items():
            if first != sorted(first):
                yield f"key {key}: first arrivals are out of order"


class Reader:
    """Reads the broker's queue to the end, with a client library that is not pgqueue's."""

    def __init__(self, place: Place, found: Found) -> None:
        self._place, self._found = place, found
        self._stop, self._paused = threading.Event(), threading.Event()
        self._rests = threading.Event()
        self._empty_since: float | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            with (
                suppress(pika.exceptions.AMQPError, OSError),
                self._place.rabbit.connect() as connection,
            ):
                self._read(connection)
            self._empty_since = None
            while self._paused.is_set() and not self._stop.is_set():
                self._rests.set()
                time.sleep(0.01)
            self._rests.clear()
            time.sleep(0.05)

    def _read(self, connection: pika.BlockingConnection) -> None:
        channel = connection.channel()
        self._place.declare(channel)
        while not self._stop.is_set() and not self._paused.is_set():
            told, properties, body = channel.basic_get(self._place.name)
            if told is None:
                self._empty_since = self._empty_since or time.monotonic()
                connection.sleep(0.02)
                continue
            self._empty_since = None
            this = (int(body), properties.message_id)
            # Redelivered, it may be one that we had, whose acknowledgement got lost.
            if not told.redelivered or this not in self._found.came[-IN_HAND:]:
                self._found.came.append(this)
            channel.basic_ack(told.delivery_tag)

    def remove_queue(self) -> Callable[[], None]:
        """Removes the queue when it has been empty for a while, and returns what makes it anew."""

        def quiet() -> bool:
            since = self._empty_since
            return since is not None and time.monotonic() - since > QUIET_SECONDS

        eventually(quiet)
        self._paused.set()
        eventually(self._rests.is_set)
        self._place.remove()

        def make() -> None:
            self._place.make()
            self._paused.clear()

        return make

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def commit(url: str, count: int, queue: str, pace: float, done: Committed) -> None:
    """Enqueue *count* messages, each in a transaction of its own; every second is rolled back."""
    app = App()
    out = app.outlet("out", amqp.Exchange(""))
    n = 0
    while n < count:
        with (
            suppress(psycopg.OperationalError, StoreUnavailable),
            psycopg.connect(url) as connection,
        ):
            while n < count:
                time.sleep(pace)
                message = out.message(n, to=queue, key=key_of(n), id=Committed.id_of(n))
                enqueue(connection, message)
                n += 1  # what the server did not hear of is not tried again
                if random.random() < 0.5:
                    connection.rollback()
                    continue
                done.perhaps.add(n - 1)
                connection.commit()
                done.perhaps.discard(n - 1)
                done.surely.add(n - 1)
        time.sleep(0.05)


def outlet(
    place: Place,
    store: Store,
    folder: Path,
    *,
    count: int,
    rounds: list[str],
    pace: float,
    freeze: float = 1.0,
    alarm: float = 1.0,
    rest: float = REST_SECONDS,
    tell: Callable[[str], None] = silent,
) -> list[str]:
    """Play the campaign, and return what went wrong."""
    done, found = Committed(), Found()
    environment = {"CAMPAIGN_STORE": store.url, "CAMPAIGN_AMQP": place.rabbit.url}
    frozen_after = max(5.0, freeze / 3)
    flags = (
        *("-q", "out", "-c", str(IN_HAND // 2)),
        *("--frozen-after", f"{frozen_after:g}", "--heartbeat-interval", f"{frozen_after / 5:g}"),
    )
    place.make()
    reader = Reader(place, found)
    committing = threading.Thread(target=commit, args=(store.url, count, place.name, pace, done))
    app = App(store.url)
    try:
        with workers(environment, folder, *flags) as running:
            committing.start()
            acts = Acts(place.rabbit, store, running, freeze, alarm, rest, reader.remove_queue)
            acts.play(rounds, tell)
            committing.join()
            jobs = ended(app, within=600)
            there = {int(job.args["body"]) for job in jobs}
            with suppress(AssertionError):  # what never comes is a complaint
                eventually(lambda: there <= {n for n, _ in list(found.came)}, within=30)
    finally:
        reader.stop()
        app.close()
    attempts = Counter(job.attempt for job in jobs)
    tell(
        f"{count} transactions, {len(jobs)} jobs, {len(done.perhaps)} of unknown commit, "
        f"{len(found.came)} messages came, {found.repeats} of them again; "
        f"attempts {dict(sorted(attempts.items()))}"
    )
    return [
        *found.complaints(there, len(rounds)),
        *_of_jobs(there, done),
        *(
            [f"{len(spent)} messages are not sent: {spent[:5]}"]
            if (spent := [job.id for job in jobs if job.state is not State.COMPLETED])
            else []
        ),
    ]


def _of_jobs(there: set[int], done: Committed) -> Iterator[str]:
    if lost := done.surely - there:
        yield f"{len(lost)} committed jobs are not there: {sorted(lost)[:5]}"
    if ghosts := there - done.surely - done.perhaps:
        yield f"{len(ghosts)} jobs are there that were rolled back: {sorted(ghosts)[:5]}"
