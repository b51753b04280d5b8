"""Random graphs with failures, snoozes, cancellations and dead workers end as the model says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgqueue import operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.job import NewJob
from pgqueue.operations import ClaimedJob, inspections
from pgqueue.testing.conformance import Store, a_job
from tests.graphs.model import Node, a_graph, foretell, foretell_retry

QUEUES = count(1)


@pytest.fixture(scope="module")
def store(postgres_server: str, template: str) -> Iterator[Store]:
    """One store for all examples: each has a queue of its own."""
    name = f"{template}_random"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        parts = conninfo_to_dict(postgres_server)
        backend = PostgresBackend(make_conninfo(**{**parts, "dbname": name}))
        store = Store(backend)
        yield store
        store.check()
        backend.close()
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Run:
    """One graph in the store, and the worker that plays its jobs."""

    def __init__(self, store: Store, nodes: list[Node], random: Random) -> None:
        self.store = store
        self.random = random
        self.queue = f"queue{next(QUEUES)}"
        self.nodes = nodes
        self.ids: dict[int, int] = {}
        self.node_of: dict[int, Node] = {}
        self.ended: dict[int, str] = {}
        self.asked: set[int] = set()
        store.worker = store.join().worker
        made: dict[int, NewJob[Any]] = {}
        for node in nodes:
            job = a_job(str(node.number), queue=self.queue)
            for parent, policy in node.parents:
                job = job.after(made[id(parent)], on_failure=policy)
            made[id(node)] = job
        self._remember(nodes, [handle.id for handle in store.enqueue(*made.values())])

    def play(self) -> None:
        """Runs what there is, in batches, until nothing is left."""
        store, random = self.store, self.random
        while True:
            store.promote()
            jobs = store.claim(random.randint(1, 40), queue=self.queue)
            if not jobs:
                if not store.promote().next_due:
                    return
                store.passes(seconds=10)
                continue
            random.shuffle(jobs)
            played: dict[str, list[ClaimedJob]] = {}
            for job in jobs:
                self._starts(job)
                played.setdefault(self._plays(job), []).append(job)
            order = random.sample(sorted(played), len(played))
            for what in sorted(order, key=lambda what: what == "kill"):
                self._end(what, played[what])

    def _starts(self, job: ClaimedJob) -> None:
        """No child starts before its parents' end."""
        node = self.node_of[job.id]
        for parent, policy in node.parents:
            well = policy == "cancel" and id(node) not in self.asked
            allowed = ("completed",) if well else ("completed", "discarded", "cancelled")
            ended = self.ended.get(self.ids[id(parent)], parent.state)
            [state] = self.store.states(self.ids[id(parent)])
            assert ended in allowed, f"{node.number} started before {parent.number} ended"
            assert state in allowed, f"{node.number} started before {parent.number} ended"

    def _plays(self, job: ClaimedJob) -> str:
        node = self.node_of[job.id]
        if node.steps:
            return node.steps.pop(0)
        return "graft" if node.end == "completed" and node.grafts else node.end

    def _end(self, what: str, jobs: list[ClaimedJob]) -> None:
        store = self.store
        if what == "fail":
            store.fail(*jobs, retry_in=timedelta(seconds=self.random.choice([0, 5])))
        elif what == "snooze":
            store.release(*jobs, delay=timedelta(seconds=self.random.choice([0, 5])))
        elif what == "kill":
            store.passes(minutes=2)
            assert len(store.rescue(max_rescues=100).jobs) == len(jobs)
            store.worker = store.join().worker
        elif what == "graft":
            for job in jobs:
                self._graft(job, self.node_of[job.id])
        elif what == "completed":
            store.complete(*jobs)
        else:
            store.fail(*jobs, verdict="discard" if what == "discarded" else "cancel")
        if what in ("completed", "graft", "discarded", "cancelled"):
            self.ended |= {job.id: "completed" if what == "graft" else what for job in jobs}

    def _graft(self, job: ClaimedJob, node: Node) -> None:
        before = {found.id for found in self.store.listing(queue=self.queue, limit=10_000)}
        added = tuple(a_job("added", queue=self.queue) for _ in node.grafts)
        plan = operations.completing(job, Completion(None, added, added), now=self.store.now)
        self.store.carry(plan)
        after = {found.id for found in self.store.listing(queue=self.queue, limit=10_000)}
        self._remember(node.grafts, sorted(after - before))
        node.grafts = []

    def _remember(self, nodes: list[Node], ids: list[int]) -> None:
        for node, id_ in zip(nodes, ids, strict=True):
            self.ids[id(node)] = id_
            self.node_of[id_] = node

    def check(self) -> None:
        """Every job is as the model says."""
        found = self.store.do(inspections.get(list(self.node_of)))
        wrong = {
            id: (str(found[id].state), node.state)
            for id, node in self.node_of.items()
            if str(found[id].state) != node.state
        }
        assert not wrong, f"(is, should be): {wrong}"


@given(size=st.integers(1, 200), seed=st.integers(0, 2**32))
@settings(
    max_examples=int(os.environ.get("PGQUEUE_EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.timeout(300)
def test_every_job_ends_as_the_model_says(store: Store, size: int, seed: int) -> None:
    random = Random(seed)
    nodes = a_graph(size, random)
    run = Run(store, nodes, random)
    all_nodes = [*nodes, *(added for node in nodes for added in node.grafts)]
    cancelled = [run.ids[id(node)] for node in nodes if node.cancelled_first]
    foretell(nodes)
    store.cancel(*cancelled)
    for node in nodes:
        if node.cancelled_first:
            run.ended[run.ids[id(node)]] = "cancelled"

    run.play()
    run.check()

    # Some of what failed is retried, and now all goes well.
    there = [node for node in all_nodes if id(node) in run.ids]
    there.sort(key=lambda node: (node.number < 0, node.number))
    order = _parents_first(there)
    failed = [node for node in there if node.failed and not node.by_its_parents]
    asked = [node for node in failed if random.random() < 0.6]
    run.asked = {id(node) for node in asked}
    back = foretell_retry(order, asked)
    for node in there:
        node.steps, node.grafts = [], []
        if id(node) in back:
            node.state, node.end = "completed", "completed"
            run.ended.pop(run.ids[id(node)], None)
    store.retry(*(run.ids[id(node)] for node in asked))
    run.play()
    run.check()
    assert store.sweep() == (0, 0)


def _parents_first(nodes: list[Node]) -> list[Node]:
    """*nodes* in an order in which what was grafted comes before those that wait for it."""
    ordered: dict[int, Node] = {}
    wanted = {id(node) for node in nodes}

    def visit(node: Node) -> None:
        for parent, _ in node.parents:
            if id(parent) in wanted and id(parent) not in ordered:
                visit(parent)
        ordered[id(node)] = node

    for node in nodes:
        visit(node)
    return list(ordered.values())
