"""Carry out plans of several operations, and try again what the store has undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from typing import Any, TypeVar, TypeVarTuple

from pgqueue.errors import StatementTimeout, StoreBusy
from pgqueue.operations import Operation, Plan, Together

S = TypeVar("S")
D = TypeVar("D")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def again(error: type[Exception], attempts: int) -> Mapping[str, Any]:
    """Return tenacity's options for trying again after *error*, with growing, jittered waits.

    tenacity is imported here, after a failure: most processes never need it.
    """
    import tenacity

    return {
        "retry": tenacity.retry_if_exception_type(error)
        & tenacity.retry_if_not_exception_type(StatementTimeout),
        "wait": tenacity.wait_random_exponential(multiplier=0.01, max=1),
        "stop": tenacity.stop_after_attempt(attempts),
        "reraise": True,
    }


def patiently(work: Callable[[*Ts], T], *arguments: *Ts, attempts: int = 10) -> T:
    """Do *work*, and repeat it while the store rolls it back; raises StoreBusy in the end."""
    try:  # first without tenacity, whose cost exceeds all else here
        return work(*arguments)
    except StatementTimeout:
        raise
    except StoreBusy:
        import tenacity

        return tenacity.Retrying(**again(StoreBusy, attempts))(work, *arguments)


async def patiently_async(work: Callable[[*Ts], Awaitable[T]], *arguments: *Ts) -> T:
    """As `patiently`, without blocking the event loop."""
    try:
        return await work(*arguments)
    except StatementTimeout:
        raise
    except StoreBusy:
        import tenacity

        return await tenacity.AsyncRetrying(**again(StoreBusy, 10))(work, *arguments)


class cancellable:
    """Raise CancelledError at the end if a cancellation came inside, whatever the block did with
    it.

    A driver may swallow it, or raise its own error instead: a service that is being stopped would
    then go on for ever. A class, since a generator with @contextmanager costs each job more.
    """

    def __enter__(self) -> None:
        import asyncio

        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task else 0

    def __exit__(self, *_: object) -> None:
        if self._task and self._task.cancelling() > self._before:
            from asyncio import CancelledError

            raise CancelledError


def carry_out(
    plan: Plan[T],
    execute: Callable[[Operation[Any]], Any],
    together: Callable[[Iterable[Operation[Any]]], list[Any]] | None = None,
) -> T:
    """Run *plan* to its end, and send each operation's answer back into it; return its result.

    Operations that may go together are carried out by *together*; without it, one by one.
    """

    def answer(asked: Operation[Any] | Together[Any]) -> Any:
        if not isinstance(asked, Together):
            return execute(asked)
        if together is not None:
            return together(asked.operations)
        return [execute(operation) for operation in asked.operations]

    return step_by_step(plan, answer)


async def carry_out_async(
    plan: Plan[T],
    execute: Callable[[Operation[Any]], Awaitable[Any]],
    together: Callable[[Iterable[Operation[Any]]], Awaitable[list[Any]]] | None = None,
) -> T:
    """As `carry_out`, with functions that are awaited."""

    async def answer(asked: Operation[Any] | Together[Any]) -> Any:
        if not isinstance(asked, Together):
            return await execute(asked)
        if together is not None:
            return await together(asked.operations)
        return [await execute(operation) for operation in asked.operations]

    return await step_by_step_async(plan, answer)


def step_by_step(steps: Generator[S, D, T], do: Callable[[S], D]) -> T:
    """Do each of *steps*, send its answer back, and return the result of the generator."""
    try:
        step = next(steps)
        while True:
            step = steps.send(do(step))
    except StopIteration as stop:
        result: T = stop.value
        return result


async def step_by_step_async(steps: Generator[S, D, T], do: Callable[[S], Awaitable[D]]) -> T:
    """As `step_by_step`, with a function that is awaited."""
    try:
        step = next(steps)
        while True:
            step = steps.send(await do(step))
    except StopIteration as stop:
        result: T = stop.value
        return result
