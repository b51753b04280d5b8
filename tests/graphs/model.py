"""Random graphs, and a plain model of what must become of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Literal

Policy = Literal["cancel", "run"]
End = Literal["completed", "discarded", "cancelled"]


@dataclass(eq=False, repr=False)
class Node:
    """A job: its parents, how its attempts go, and what it grafts when it completes."""

    number: int
    parents: list[tuple[Node, Policy]]
    steps: list[str]
    end: End
    cancelled_first: bool = False
    grafts: list[Node] = field(default_factory=list)

    # What the model says
    state: str = "waiting"
    by_its_parents: bool = False

    @property
    def failed(self) -> bool:
        return self.state in ("discarded", "cancelled")


def a_graph(size: int, random: Random, *, persons: bool = True, growing: bool = True) -> list[Node]:
    """*size* nodes with up to four of the earlier ones as parents, and a few that graft."""
    nodes: list[Node] = []
    near = random.choice([3, 10, size])
    wide = random.random()
    for number in range(size):
        count = min(number, random.choice([0, 1, 1, 2, 2, 3, 4] if random.random() < wide else [1]))
        earlier = nodes[-near:]
        chosen = random.sample(earlier, min(count, len(earlier)))
        parents: list[tuple[Node, Policy]] = [
            (parent, "run" if random.random() < 0.4 else "cancel") for parent in chosen
        ]
        nodes.append(Node(number, parents, _steps(random), _end(random)))
        nodes[-1].cancelled_first = persons and random.random() < 0.02
    if growing:
        for node in random.sample(nodes, min(size, 1 + size // 20)):
            node.grafts = [Node(-1, [], _steps(random), _end(random)) for _ in range(2)]
    return nodes


def foretell(nodes: list[Node]) -> None:
    """Says how each of *nodes*, and of what they graft, ends."""
    grafted: dict[int, list[Node]] = {}
    for node in nodes:
        parents = list(node.parents)
        for parent, policy in node.parents:
            parents += [(added, policy) for added in grafted.get(id(parent), [])]
        node.parents = parents
        if node.cancelled_first:
            node.state = "cancelled"
        elif any(parent.failed for parent, policy in parents if policy == "cancel"):
            node.state, node.by_its_parents = "cancelled", True
        else:
            node.state = node.end
        if node.state == "completed":
            grafted[id(node)] = node.grafts
            for added in node.grafts:
                added.state = added.end


def foretell_retry(nodes: list[Node], asked: list[Node]) -> set[int]:
    """Which of *nodes*, by identity, come back when *asked* are retried.

    Grafted nodes come before the children that wait for them, as the rule looks at parents only.
    """
    back = {id(node) for node in asked}
    for node in nodes:
        bad = [parent for parent, policy in node.parents if policy == "cancel" and parent.failed]
        if node.by_its_parents and bad and all(id(parent) in back for parent in bad):
            back.add(id(node))
    return back


def _steps(random: Random) -> list[str]:
    if random.random() < 0.7:
        return []
    return [random.choice(["fail", "snooze", "kill"]) for _ in range(random.randint(1, 3))]


def _end(random: Random) -> End:
    return random.choices(["completed", "discarded", "cancelled"], [93, 5, 2])[0]  # type: ignore[return-value]
