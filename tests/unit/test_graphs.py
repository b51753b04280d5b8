"""Graphs as values: nothing here needs a store."""

from __future__ import annotations

from typing import Any

import pytest

from pgqueue import Graph, NewJob, chain, group, map_reduce, workflow
from pgqueue.errors import InvalidJob
from pgqueue.jobs.graphs import gather


def a(task: str) -> NewJob[Any]:
    return NewJob(task)


def edges(jobs: Any) -> set[str]:
    """Every edge as ``parent>child``."""
    return {f"{edge.parent.task}>{job.task}" for job in jobs for edge in job.edges}


def names(jobs: Any) -> str:
    return " ".join(job.task for job in jobs)


def test_a_chain_is_one_after_the_other() -> None:
    graph = chain(a("x"), a("y"), a("z"))

    assert (names(graph.jobs), edges(graph.jobs)) == ("x y z", {"x>y", "y>z"})
    assert (names(graph.firsts), graph.last.task) == ("x", "z")


def test_a_group_then_a_job_waits_for_all() -> None:
    graph = group([a("x"), a("y")]).then(a("z"))

    assert (names(graph.jobs), edges(graph.jobs)) == ("x y z", {"x>z", "y>z"})


def test_graphs_are_steps_too() -> None:
    graph = chain(a("top"), group([chain(a("l1"), a("l2")), a("r")]), a("end"))

    assert names(graph.jobs) == "top l1 l2 r end"
    assert edges(graph.jobs) == {"top>l1", "l1>l2", "top>r", "l2>end", "r>end"}


def test_then_takes_several_steps_side_by_side() -> None:
    graph = group([a("x"), a("y")]).then(a("u"), a("v"))

    assert edges(graph.jobs) == {"x>u", "x>v", "y>u", "y>v"}
    assert names(graph.lasts) == "u v"
    with pytest.raises(InvalidJob, match="2 jobs"):
        graph.last  # noqa: B018


def test_a_graph_may_be_continued_twice() -> None:
    start = chain(a("x"), a("y"))
    both = group([start.then(a("left")), start.then(a("right"))])

    assert names(both.jobs) == "x y left right"
    assert edges(both.jobs) == {"x>y", "y>left", "y>right"}


def test_the_parts_of_a_graph_stay_as_they_were() -> None:
    x, y = a("x"), a("y")
    chain(x, y)

    assert y.edges == ()


def test_policies_and_names_of_edges() -> None:
    x, y = a("x"), a("y")
    graph = group([x, y]).then(a("z"), on_failure="run", name="parts")

    assert [(e.parent, e.on_failure, e.name) for e in graph.last.edges] == [
        (x, "run", "parts"),
        (y, "run", "parts"),
    ]


def test_maps_over_a_list_and_reduces() -> None:
    graph = map_reduce(lambda n: a(f"map{n}"), range(3), a("reduce"), name="parts")

    assert edges(graph.jobs) == {f"map{n}>reduce" for n in range(3)}
    assert {edge.name for edge in graph.last.edges} == {"parts"}


def test_a_map_over_nothing_is_the_reduction_alone() -> None:
    assert names(map_reduce(a, [], a("reduce")).jobs) == "reduce"


def test_nothing_then_a_job_is_that_job() -> None:
    assert names(chain(group([]), a("x")).jobs) == "x"
    assert edges(chain(a("x"), group([]), a("y")).jobs) == {"x>y"}


def test_a_workflow_takes_in_the_parents_and_puts_them_in_order() -> None:
    top = a("top")
    left, right = a("left").after(top), a("right").after(top, 7)
    flow = workflow("import", a("end").after(left, right), left, tags=["nightly"])

    assert (flow.name, flow.tags) == ("import", ("nightly",))
    assert names(flow.jobs) == "top left right end"


def test_a_deep_workflow_does_not_recurse() -> None:
    job = a("job0")
    for n in range(1, 5_000):
        job = a(f"job{n}").after(job)

    assert len(workflow("deep", job).jobs) == 5_000


def test_a_workflow_takes_graphs_and_lists() -> None:
    flow = workflow("all", chain(a("x"), a("y")), [a("z"), group([a("u")])])

    assert names(flow.jobs) == "x y z u"


@pytest.mark.parametrize("name", ["", "a b", "ü", 7])
def test_a_workflow_has_a_proper_name(name: Any) -> None:
    with pytest.raises(InvalidJob, match="name"):
        workflow(name, a("x"))


def test_named_parents() -> None:
    x, y, z = a("x"), a("y"), a("z")
    job = a("job").after(x, left=y, both=[z, 7])

    assert [(e.parent, e.name) for e in job.edges] == [
        (x, None), (y, "left"), (z, "both"), (7, "both"),
    ]  # fmt: skip


def test_a_parent_gets_its_name_later_but_only_one() -> None:
    x = a("x")
    job = a("job").after(x).after(left=x)
    assert [edge.name for edge in job.edges] == ["left"]

    with pytest.raises(InvalidJob, match="left"):
        job.after(right=x)


def test_gathers_whatever_an_enqueue_is_given() -> None:
    x = a("x")
    graph = chain(a("y"), a("z"))

    assert gather([x]) == ([x], True, None)
    assert gather([[x]]) == ([x], False, None)
    assert gather([graph]) == (list(graph.jobs), False, None)
    assert gather([x, graph]) == ([x, *graph.jobs], False, None)
    assert gather([[x, graph]]) == ([x, *graph.jobs], False, None)
    assert gather([]) == ([], False, None)
    flow = workflow("flow", x)
    assert gather([flow]) == ([x], False, flow)


@pytest.mark.parametrize("wrong", [7, "job", [7], None, object()])
def test_what_is_no_job_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidJob, match="is no job"):
        gather([wrong])
    with pytest.raises(InvalidJob, match="is no job"):
        group([wrong])


def test_a_workflow_is_enqueued_by_itself() -> None:
    with pytest.raises(InvalidJob, match="call of its own"):
        gather([workflow("flow", a("x")), a("y")])


def test_a_graph_is_equal_only_to_itself() -> None:
    x = a("x")
    assert Graph((x,), (x,), (x,)) != Graph((x,), (x,), (x,))
