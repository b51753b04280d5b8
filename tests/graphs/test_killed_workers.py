"""A random graph, and worker processes that are killed again and again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from random import Random

import psycopg
import pytest

from pgqueue import App, operations, workflow
from pgqueue.jobs.job import NewJob
from pgqueue.operations import inspections
from tests.graphs import shop
from tests.graphs.model import Node, a_graph, foretell

TOO_EARLY = """
    SELECT count(*) FROM pgqueue.dependency AS d
    JOIN pgqueue.archive AS c ON c.id = d.child_id
    JOIN pgqueue.archive AS p ON p.id = d.parent_id
    WHERE c.claimed_at < p.finished_at
"""


@pytest.fixture
def app(postgres_url: str) -> Iterator[App]:
    app = App(postgres_url)
    yield app
    app.close()


def a_worker(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pgqueue.worker", "tests.graphs.shop:app", "--queues", "default"],
        env={**os.environ, "PGQUEUE_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def pids(app: App) -> set[int]:
    return {worker.pid for worker in app.execute(inspections.workers())}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_graph_outlives_its_workers(app: App, postgres_url: str, seed: int) -> None:
    random = Random(seed)
    nodes = a_graph(200, random, persons=False, growing=False)
    made: dict[int, NewJob[object]] = {}
    for node in nodes:
        script = [step for step in node.steps if step != "kill"]
        job: NewJob[object] = shop.step.job(script=script, end=node.end)
        for parent, policy in node.parents:
            job = job.after(made[id(parent)], on_failure=policy)
        made[id(node)] = job
    handles = app.enqueue(workflow("killed", list(made.values())))
    node_of: dict[int, Node] = {h.id: node for h, node in zip(handles, nodes, strict=True)}
    foretell(nodes)

    workers = [a_worker(postgres_url) for _ in range(2)]
    try:
        deadline = time.monotonic() + 150
        while (flow := app.execute(inspections.workflows())[0]).unfinished:
            assert time.monotonic() < deadline, flow.states
            time.sleep(random.uniform(0.3, 1.2))
            victim = random.randrange(2)
            while workers[victim].pid not in pids(app):  # whoever is not there yet does nothing
                assert time.monotonic() < deadline, flow.states
                time.sleep(0.05)
            workers[victim].send_signal(signal.SIGKILL)
            workers[victim].wait()
            workers[victim] = a_worker(postgres_url)
            if random.random() < 0.5:
                time.sleep(3)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()

    jobs = app.execute(inspections.get(node_of))
    assert {id: str(jobs[id].state) for id in node_of} == {id: n.state for id, n in node_of.items()}
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(TOO_EARLY).fetchone() == (0,)
    assert app.execute(operations.sweep()).stranded == 0
