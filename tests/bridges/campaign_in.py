"""A message is one job, and one row, however often it is delivered and whatever dies.

`python -m tests.bridges in` plays it at length, on every store.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pika

from pgqueue import App
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import Job, State
from tests.bridges.acts import REST_SECONDS, Acts
from tests.bridges.campaign import silent
from tests.bridges.campaign_shop import MENDED
from tests.bridges.stands import Place, Store, ended, workers

APART = 500
"""At the most so many other messages are between the two that are the same."""
FLAGS = ("-q", "default,come", "-c", "50", "--inlets")


def twice(count: int) -> list[int]:
    """Each number below *count* twice, the second one a while after the first."""
    first = [(float(n), n) for n in range(count)]
    second = [(n + random.uniform(0, APART), n) for n in range(count)]
    return [n for _, n in sorted(first + second)]


def publish(place: Place, bodies: Sequence[tuple[str, object]], pace: float = 0.0) -> int:
    """Publish (id, body) until the broker has confirmed all; says how many it was given again, as
    no confirm came."""
    sent = begun = 0
    while sent < len(bodies):
        with (
            suppress(pika.exceptions.AMQPError, OSError),
            place.rabbit.connect() as connection,
        ):
            channel = connection.channel()
            channel.confirm_delivery()
            while sent < len(bodies):
                id, body = bodies[sent]
                begun += 1
                channel.basic_publish(
                    "",
                    place.name,
                    json.dumps(body).encode(),
                    pika.BasicProperties(message_id=id, delivery_mode=2),
                    mandatory=True,
                )
                sent += 1
                time.sleep(pace)
        time.sleep(0.05)
    return begun - sent


def complaints(jobs: Sequence[Job], rows: Sequence[int] | None, count: int) -> Iterator[str]:
    """What went wrong, when each of the first *count* numbers had to become one job and one row."""
    made = Counter(job.args["n"] for job in jobs if job.task == "settle")
    for what, counted in (("jobs", made), ("rows", Counter(rows or ()))):
        if what == "rows" and rows is None:
            continue
        if lost := set(range(count)) - counted.keys():
            yield f"{len(lost)} messages have no {what}: {sorted(lost)[:5]}"
        if twice := [n for n, times in counted.items() if times > 1]:
            yield f"{len(twice)} messages have several {what}: {sorted(twice)[:5]}"
        if strange := counted.keys() - set(range(count)):
            yield f"{len(strange)} {what} are of no message: {sorted(strange)[:5]}"
    if others := [job.id for job in jobs if job.task != "settle"]:
        yield f"{len(others)} jobs of other tasks: {others[:5]}"
    if undone := [job.id for job in jobs if job.state is not State.COMPLETED]:
        yield f"{len(undone)} jobs are not completed: {undone[:5]}"


def environment(place: Place, store: Store) -> dict[str, str]:
    return {
        "CAMPAIGN_STORE": store.url,
        "CAMPAIGN_AMQP": place.rabbit.url,
        "CAMPAIGN_QUEUE": place.name,
    }


def inlet(
    place: Place,
    store: Store,
    folder: Path,
    *,
    count: int,
    rounds: list[str],
    pace: float,
    freeze: float = 1.0,
    rest: float = REST_SECONDS,
    tell: Callable[[str], None] = silent,
) -> list[str]:
    """Play the campaign, and return what went wrong."""
    place.make()
    bodies = [(f"id-{n}", {"n": n}) for n in twice(count)]
    again: list[int] = []
    publishing = threading.Thread(target=lambda: again.append(publish(place, bodies, pace)))
    frozen_after = max(5.0, freeze / 3)
    flags = (
        *("--frozen-after", f"{frozen_after:g}", "--heartbeat-interval", f"{frozen_after / 5:g}"),
    )
    app = App(store.url)
    try:
        with workers(environment(place, store), folder, *FLAGS, *flags) as running:
            publishing.start()
            Acts(place.rabbit, store, running, freeze, rest=rest).play(rounds, tell)
            publishing.join()
            with suppress(AssertionError):  # what never comes is a complaint
                ended(app, count, within=300)
            left = _left(place)
            jobs = ended(app)
    finally:
        app.close()
    rows = store.rows()
    tell(
        f"{store.kind}: {len(bodies)} messages, {again[0]} of them published anew, "
        f"{len(jobs)} jobs, {'no' if rows is None else len(rows)} rows; "
        f"attempts {dict(sorted(Counter(job.attempt for job in jobs).items()))}"
    )
    return [
        *complaints(jobs, rows, count),
        *([f"{left} messages are left in the broker's queue"] if left else []),
    ]


def poison(
    place: Place,
    store: Store,
    folder: Path,
    *,
    count: int,
    share: int = 100,
    tell: Callable[[str], None] = silent,
) -> list[str]:
    """Every *share*-th message cannot be read, until the code is mended; return what went wrong."""
    place.make()
    spoiled = range(0, count, share)
    bodies = [
        (f"id-{n}", {"n": n, **({"poison": True} if n in spoiled else {})}) for n in range(count)
    ]
    app = App(store.url)
    wrong: list[str] = []
    try:
        with workers(environment(place, store), folder, *FLAGS):
            publish(place, bodies)
            jobs = ended(app, count, within=300)
            left = _left(place)
        dead = [job for job in jobs if job.state is State.DISCARDED]
        done = [job for job in jobs if job.state is State.COMPLETED and job.task == "settle"]
        reasons = [job.reason for job in dead if "no such account" in (job.reason or "")]
        tell(f"{len(done)} done, {len(dead)} dead letters, {left} left in the broker's queue")
        if (len(done), len(dead), len(reasons)) != (count - len(spoiled), *[len(spoiled)] * 2):
            wrong.append(f"{len(done)} done, {len(dead)} dead, {len(reasons)} with the reason")
        if left:
            wrong.append(f"{left} messages are left in the broker's queue")
        with workers({**environment(place, store), MENDED: "1"}, folder, *FLAGS):
            app.jobs.retry(Filter(state=State.DISCARDED, queue="come"))
            jobs = ended(app, count + len(spoiled), within=300)
        mended = [job for job in jobs if job.task == "settle"]
        tell(f"mended and retried: {len(mended) - len(done)} more are done")
        wrong += complaints(mended, store.rows(), count)
        if unread := [job.id for job in jobs if job.state is not State.COMPLETED]:
            wrong.append(f"{len(unread)} jobs are not completed: {unread[:5]}")
    finally:
        app.close()
    return wrong


def _left(place: Place) -> int:
    """How many messages the broker still holds, after it had time to hand them out."""
    deadline = time.monotonic() + 30
    while (left := place.held()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left
