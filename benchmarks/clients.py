"""Processes that enqueue: one job a transaction, each on a connection of its own."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import psycopg

from benchmarks.contenders import Connection, Contender

Pace: TypeAlias = Callable[[], None]
WARM_UPS = 20
_processes = multiprocessing.get_context("fork")


def as_fast_as_they_can(
    contender: Contender, url: str, clients: int, seconds: float
) -> list[float]:
    """How long each transaction took, of all clients."""
    return _together(clients, _one_client, contender, url, seconds, None)


def at_a_rate(
    contender: Contender, url: str, clients: int, seconds: float, rate: float
) -> list[float]:
    """The same, at *rate* jobs a second in all, at random instants."""
    return _together(clients, _one_client, contender, url, seconds, rate / clients)


def transaction(contender: Contender, connection: Connection) -> float:
    """Enqueues a job in a transaction of its own; how long that took, until it was durable."""
    began = time.time()
    with connection.transaction():
        contender.enqueue(connection, began)
    return time.time() - began


def _one_client(
    barrier: Any, contender: Contender, url: str, seconds: float, rate: float | None
) -> list[float]:
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(WARM_UPS):
            with connection.transaction(force_rollback=True):
                contender.enqueue(connection, time.time())
        barrier.wait()
        took: list[float] = []
        due = time.monotonic()
        end = due + seconds
        while time.monotonic() < end:
            if rate is not None:
                due += random.expovariate(rate)
                time.sleep(max(0.0, due - time.monotonic()))
            took.append(transaction(contender, connection))
    return took


def _together(clients: int, work: Callable[..., list[float]], *arguments: Any) -> list[float]:
    """Forks *clients* processes, which start together."""
    barrier = _processes.Barrier(clients)
    answers: Any = _processes.SimpleQueue()

    def run() -> None:
        answers.put(work(barrier, *arguments))

    crew = [_processes.Process(target=run) for _ in range(clients)]
    for process in crew:
        process.start()
    took = [seconds for _ in crew for seconds in answers.get()]
    for process in crew:
        process.join()
    return took
