"""Lay a graph of jobs out for people: alike jobs folded into one node, nodes put in layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pgqueue.jobs.job import Job
from pgqueue.operations.inspections import GraphView

FOLD = 4
_WORST_FIRST = (
    "discarded",
    "cancelled",
    "running",
    "retryable",
    "available",
    "scheduled",
    "blocked",
    "completed",
)


@dataclass(slots=True)
class Node:
    """One job, or several that do the same between the same others."""

    jobs: list[Job]
    parents: list[Node] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)
    layer: int = 0

    @property
    def key(self) -> str:
        return f"j{self.jobs[0].id}"

    @property
    def title(self) -> str:
        first = self.jobs[0]
        if len(self.jobs) == 1:
            return f"{first.id} {first.task}"
        return f"{first.task} ×{len(self.jobs)}"

    @property
    def states(self) -> Counter[str]:
        return Counter(str(job.state) for job in self.jobs)

    @property
    def state(self) -> str:
        """The worst state of its jobs."""
        return min(self.states, key=_WORST_FIRST.index)

    def took(self, now: datetime) -> timedelta | None:
        """Return how long the slowest of these jobs has run, so far or in all; None if none has."""
        ran = [
            (job.finished_at or now) - job.claimed_at
            for job in self.jobs
            if job.claimed_at is not None and (job.finished_at or job.state == "running")
        ]
        return max(ran, default=None)


def nodes(graph: GraphView, *, fold: bool = True) -> list[Node]:
    """Return the nodes of *graph*, parents before their children, each in its layer.

    Folded, jobs of one task with the same parents and the same children are one node.
    """
    parents: dict[int, set[int]] = {job.id: set() for job in graph.jobs}
    children: dict[int, set[int]] = {job.id: set() for job in graph.jobs}
    for edge in graph.edges:
        if edge.parent in children and edge.child in parents:
            parents[edge.child].add(edge.parent)
            children[edge.parent].add(edge.child)
    alike: dict[object, list[Job]] = {}
    for job in graph.jobs:
        between = (job.task, frozenset(parents[job.id]), frozenset(children[job.id]))
        alike.setdefault(between if fold else job.id, []).append(job)
    made: list[Node] = []
    for jobs in alike.values():
        made += [Node(jobs)] if len(jobs) >= FOLD else [Node([job]) for job in jobs]
    node_of = {job.id: node for node in made for job in node.jobs}
    for node in made:
        node.children = _distinct(node_of[id] for id in sorted(children[node.jobs[0].id]))
        node.parents = _distinct(node_of[id] for id in sorted(parents[node.jobs[0].id]))
    return _in_order(made)


def layers(ordered: list[Node]) -> list[list[Node]]:
    """Return nodes by layer; in each, those whose parents are near each other are, too."""
    by_layer: list[list[Node]] = []
    place: dict[int, float] = {}
    for number in range(max((node.layer for node in ordered), default=-1) + 1):
        row = [node for node in ordered if node.layer == number]
        row.sort(key=lambda node: _middle([place[id(parent)] for parent in node.parents]))
        width = max(len(row) - 1, 1)
        place |= {id(node): n / width for n, node in enumerate(row)}
        by_layer.append(row)
    return by_layer


def _in_order(made: list[Node]) -> list[Node]:
    missing = {id(node): len(node.parents) for node in made}
    ready = [node for node in made if not node.parents]
    ordered: list[Node] = []
    while ready:
        node = ready.pop(0)
        ordered.append(node)
        for child in node.children:
            child.layer = max(child.layer, node.layer + 1)
            missing[id(child)] -= 1
            if missing[id(child)] == 0:
                ready.append(child)
    return ordered


def _distinct(repeated: Iterable[Node]) -> list[Node]:
    return list({id(node): node for node in repeated}.values())


def _middle(places: list[float]) -> float:
    return sum(places) / len(places) if places else 0.5
