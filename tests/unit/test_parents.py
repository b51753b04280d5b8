"""Parameters that are results of parents."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pgqueue import PARENT, Context, Result, Results
from pgqueue.errors import InvalidArguments, InvalidTask
from pgqueue.jobs.job import State
from pgqueue.tasks.parents import Parent
from pgqueue.tasks.registry import TaskRegistry

registry = TaskRegistry()


def call(fn: Any, *parents: Parent, text: str = "{}", **options: Any) -> Any:
    """What *fn* answers as a task whose job has these parents."""
    task = TaskRegistry().task(**options)(fn)
    context = Context.detached()
    context._parents = _Known(parents)  # type: ignore[assignment]
    return task.call(context, text)


class _Known(tuple[Parent, ...]):
    pass


def left(id: int, text: str | None, name: str | None = None, task: str = "task") -> Parent:
    return Parent(id, State.COMPLETED, task, name, text)


def failed(id: int, name: str | None = None) -> Parent:
    return Parent(id, State.DISCARDED, "task", name, None)


def test_a_result_goes_by_the_name_of_its_edge() -> None:
    def sum(a: Result[int], b: Result[int]) -> int:
        return 10 * a + b

    assert call(sum, left(1, "2", "b"), left(2, "3", "a")) == 32


def test_or_by_the_name_of_the_parents_task() -> None:
    def sum(a: Result[int], b: Result[int]) -> int:
        return 10 * a + b

    assert call(sum, left(1, "2", task="b"), left(2, "3", task="a")) == 32


def test_a_parameter_on_its_own_takes_the_only_parent() -> None:
    def parse(page: Result[str]) -> str:
        return page

    assert call(parse, left(1, '"text"', task="fetch")) == "text"


def test_results_are_typed() -> None:
    def show(day: Result[date]) -> str:
        return day.isoformat()

    assert call(show, left(1, '"2030-06-01"')) == "2030-06-01"
    with pytest.raises(InvalidArguments, match="show: day: the result of job 1"):
        call(show, left(1, '"yesterday"'))


def test_many_results_are_a_list() -> None:
    def total(parts: Results[int]) -> int:
        return sum(parts)

    assert call(total, left(1, "1"), left(2, "2"), failed(3)) == 3
    assert call(total, left(1, "1", "parts"), left(2, "2", "other")) == 1
    assert call(total) == 0


def test_arguments_context_and_results_together() -> None:
    def report(ctx: Context, n: int, a: Result[int] = PARENT, *, m: int = 5) -> list[int]:
        return [ctx.attempt, n, a, m]

    assert call(report, left(1, "7"), text='{"n": 2}') == [1, 2, 7, 5]


def test_a_parent_without_a_result_gives_none() -> None:
    def after(nothing: Result[None]) -> None:
        assert nothing is None

    call(after, left(1, None))


def test_a_failed_parent_gives_the_default() -> None:
    def report(a: Result[int] = -1) -> int:
        return a

    assert call(report, failed(1)) == -1
    assert call(report) == -1


def test_a_failed_parent_without_a_default_fails_the_job() -> None:
    def report(a: Result[int] = PARENT) -> int:
        return a

    with pytest.raises(InvalidArguments, match="report: a: job 1 was discarded"):
        call(report, failed(1, "a"))
    with pytest.raises(InvalidArguments, match=r"report: a: no parent is called so.*after\(a="):
        call(report)


def test_several_parents_for_one_parameter_fail_the_job() -> None:
    def report(a: Result[int]) -> int:
        return a

    with pytest.raises(InvalidArguments, match="2 parents are called so"):
        call(report, left(1, "1", "a"), left(2, "1", "a"))


def test_a_result_past_its_retention_fails_the_job() -> None:
    def report(a: Result[int]) -> int:
        return a

    with pytest.raises(InvalidArguments, match="past its retention"):
        call(report, Parent(1, State.COMPLETED, None, "a"))


async def test_a_coroutine_gets_them_too() -> None:
    async def report(n: int, a: Result[int] = PARENT) -> int:
        return n + a

    task = registry.task(report)
    context = Context.detached(parents={"a": 3})
    assert await task.call_async(context, task.job(n=4).args) == 7


def test_a_job_does_not_ask_for_results() -> None:
    def report(n: int, a: Result[int] = PARENT) -> int:
        return n + a

    task = TaskRegistry().task(report)

    assert task.wants_results
    assert task.job(1).args == task.job(n=1).args == task.job(1, a=PARENT).args == '{"n":1}'
    with pytest.raises(InvalidArguments, match="a"):
        task.job(1, a=5)
    assert task(1, a=5) == 6


def test_positional_only_parameters_do_not_go_with_them() -> None:
    def report(n: int, /, a: Result[int]) -> int:
        return n

    with pytest.raises(InvalidTask, match="take away the /"):
        TaskRegistry().task(report).prepare()
