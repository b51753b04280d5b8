"""Graphs drawn: for the terminal, and for other programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from pgqueue.cli.graph_text import draw
from pgqueue.jobs.job import Job, State
from pgqueue.operations.inspections import GraphView, Link
from pgqueue.views import graph_formats
from pgqueue.views.graph_layout import layers, nodes

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)


def a_graph(*edges: str, states: str = "") -> GraphView:
    """``a_graph("1>2", "1>3")``: jobs by id, and their edges."""
    links = [tuple(map(int, edge.split(">"))) for edge in edges]
    ids = sorted({id for link in links for id in link})
    kinds = {"c": State.COMPLETED, "r": State.RUNNING, "b": State.BLOCKED, "x": State.CANCELLED}
    jobs = [
        Job(
            id=id,
            task=f"task{id}" if id < 10 else "many",
            state=kinds[states[n] if n < len(states) else "b"],
            queue="default",
            priority=0,
            attempt=1,
            max_attempts=10,
            run_at=NOW,
            enqueued_at=NOW,
            claimed_at=NOW - timedelta(seconds=3),
            finished_at=NOW if states[n : n + 1] == "c" else None,
            reason='say "no" <&>' if states[n : n + 1] == "x" else None,
        )
        for n, id in enumerate(ids)
    ]
    return GraphView(jobs, [Link(a, b, "cancel", None, None) for a, b in links], False)


def drawn(graph: GraphView, **options: bool) -> list[str]:
    return [line.plain.rstrip() for line in draw(nodes(graph, **options), NOW)]


DIAMOND = a_graph("1>2", "1>3", "2>4", "3>4", states="crb")


def test_a_diamond_in_the_terminal() -> None:
    assert drawn(DIAMOND) == [
        "●    1 task1  completed  3.0 s",
        "├─╮",
        "◉ │  2 task2  running  3.0 s",
        "│ ○  3 task3  blocked",
        "├─╯",
        "○  4 task4  blocked",
    ]


def test_a_chain_is_a_line() -> None:
    assert [line[0] for line in drawn(a_graph("1>2", "2>3"))] == ["○", "○", "○"]


def test_many_that_do_the_same_are_folded() -> None:
    wide = a_graph(*(f"1>{n}" for n in range(10, 40)), *(f"{n}>50" for n in range(10, 40)))
    assert [line.split("  ")[1].strip() for line in drawn(wide)] == [
        "1 task1",
        "many ×30",
        "50 many",
    ]
    assert len(nodes(wide, fold=False)) == 32


def test_a_very_wide_graph_has_no_more_lanes_than_fit() -> None:
    wide = a_graph(*(f"1>{n}" for n in range(10, 110)))
    lines = drawn(wide, fold=False)

    assert max(map(len, lines)) < 120
    assert sum("after 1" in line for line in lines) > 50


@pytest.mark.parametrize("fold", [True, False])
def test_every_job_is_drawn_once(fold: bool) -> None:
    lattice = [f"{10 * r + c}>{10 * (r + 1) + d}" for r in range(1, 8) for c in range(9)
               for d in (c, (c + 1) % 9)]  # fmt: skip
    graph = a_graph(*lattice)
    marks = sum("○" in line for line in drawn(graph, fold=fold))

    assert marks == len(nodes(graph, fold=fold))
    assert sum(len(node.jobs) for node in nodes(graph, fold=fold)) == len(graph.jobs)


def test_parents_lie_above_their_children() -> None:
    made = nodes(DIAMOND)

    assert [[node.jobs[0].id for node in row] for row in layers(made)] == [[1], [2, 3], [4]]
    assert layers([]) == []


def test_mermaid_and_dot() -> None:
    made = nodes(DIAMOND)

    assert "j1 --> j2" in graph_formats.mermaid(made, NOW)
    assert "j1 -> j2;" in graph_formats.dot(made, NOW)
    assert graph_formats.dot(made, NOW).endswith("}")


def test_svg_is_sound_whatever_a_reason_says() -> None:
    made = nodes(a_graph("1>2", states="cx"))
    root = ElementTree.fromstring(graph_formats.svg(made, NOW))

    assert len(root.findall("{*}g")) == 2
    assert root.findall("{*}path")


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawn(GraphView([], [], False)) == []
    ElementTree.fromstring(graph_formats.svg([], NOW))
