"""A broker that is away costs nothing: no attempts, no dead letters, hardly a write; and when it is
back, messages flow at once. `python -m tests.bridges outage` measures it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pika
import psycopg

from pgqueue import App
from pgqueue.bridges import amqp
from pgqueue.jobs.job import State
from tests.bridges.campaign import silent
from tests.bridges.stands import Place, Store, ended, workers
from tests.worker.process import eventually

STATISTICS_SECONDS = 12.0
"""An idle session of PostgreSQL's tells its statistics after ten seconds at the latest."""
MOST_WRITES = 10.0
MOST_LATE_SECONDS = 2.0
WRITES = """
    SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)
    FROM pg_stat_user_tables WHERE schemaname = 'pgqueue'
"""


@dataclass
class Arrivals:
    """How many messages the broker's queue had at which instants."""

    seen: list[tuple[float, int]] = field(default_factory=list)

    def reached(self, number: float) -> float:
        """When there were *number*."""
        return next(at for at, count in self.seen if count >= number)

    def late(self, back: float) -> tuple[float, float]:
        """After how many seconds from *back* on the messages flowed as fast as they did later: the
        line through the first and the last fifth meets the start there. And their rate."""
        start, end = self.seen[0][1], self.seen[-1][1]
        first, last = start + (end - start) * 0.2, start + (end - start) * 0.8
        rate = (last - first) / max(self.reached(last) - self.reached(first), 0.001)
        return self.reached(first) - (first - start) / rate - back, rate


def outage(
    place: Place,
    store: Store,
    folder: Path,
    *,
    count: int = 10_000,
    seconds: float = 60.0,
    tell: Callable[[str], None] = silent,
) -> list[str]:
    """Play it, and return what went wrong; after *seconds*, more than those of the statistics, the
    broker is started."""
    place.make()
    environment = {"CAMPAIGN_STORE": store.url, "CAMPAIGN_AMQP": place.rabbit.url}
    app = App(store.url)
    out = app.outlet("out", amqp.Exchange(""))
    arrivals = Arrivals()
    try:
        with workers(environment, folder, "-q", "out", number=1):
            app.enqueue(out.message(-1, to=place.name))
            ended(app, 1)
            place.rabbit.kill()
            began = time.monotonic()
            for start in range(0, count, 1_000):
                numbers = range(start, min(count, start + 1_000))
                app.enqueue([out.message(n, to=place.name) for n in numbers])
            time.sleep(STATISTICS_SECONDS)
            before, counted_at = _writes(store), time.monotonic()
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            writes = (_writes(store) - before) / (time.monotonic() - counted_at)
            place.rabbit.start()
            back = time.monotonic()
            _watch(place, arrivals, count + 1)
            jobs = ended(app, count + 1, within=600)
    finally:
        app.close()
    late, rate = arrivals.late(back)
    spent = [job.id for job in jobs if job.attempt != 1 or job.errors]
    dead = [job.id for job in jobs if job.state is not State.COMPLETED]
    first = arrivals.reached(arrivals.seen[0][1] + 1) - back
    tell(
        f"{back - began:.0f} s away with {count} waiting: {writes:.1f} writes/s, "
        f"{len(spent)} attempts spent, {len(dead)} dead letters; the first message {first:.1f} s "
        f"after the broker was back, full rate ({rate:.0f}/s) from {late:.1f} s on; "
        f"load {os.getloadavg()[0]:.0f}"
    )
    return [
        *([f"{len(spent)} jobs spent attempts: {spent[:5]}"] if spent else []),
        *([f"{len(dead)} jobs are dead letters: {dead[:5]}"] if dead else []),
        *([f"{writes:.1f} writes/s"] if writes > MOST_WRITES else []),
        *([f"full rate only {late:.1f} s after"] if late > MOST_LATE_SECONDS else []),
    ]


def _writes(store: Store) -> int:
    with psycopg.connect(store.url) as connection:
        found = connection.execute(WRITES).fetchone()
        assert found is not None
        return int(found[0])


def _watch(place: Place, arrivals: Arrivals, number: int) -> None:
    """Notes how the queue fills, until it holds *number*."""
    with place.rabbit.connect() as connection:
        channel = connection.channel()

        def full() -> bool:
            arrivals.seen.append((time.monotonic(), place.declare(channel)))
            return arrivals.seen[-1][1] >= number

        try:
            eventually(full, within=300)
        except pika.exceptions.AMQPError as error:
            raise AssertionError(f"the broker: {error}") from None
