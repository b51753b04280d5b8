"""Tasks declared in odd ways, and errors that do not travel like others."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import subprocess
import time
from collections.abc import Callable
from typing import Any

from pgqueue import App
from pgqueue.errors import JobCancelled
from pgqueue.jobs.retries import ByException, Never

app = App()


class ApiError(Exception):
    """Its __init__ takes other arguments than it hands on."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status


class NotPickled(ApiError):
    def __reduce__(self) -> str:
        raise TypeError("this error does not travel")


class ChangesOnTheWay(ApiError):
    """Arrives as another class."""

    def __reduce__(self) -> Any:
        return (RuntimeError, ("another",))


class OddlyCancelled(JobCancelled):
    def __init__(self, order: int, why: str) -> None:
        super().__init__(f"order {order}: {why}")


def fail(kind: str) -> None:
    class Local(ApiError):
        """Known here only."""

    class Exits(SystemExit):
        """Not even an Exception."""

    errors: dict[str, Callable[[], BaseException]] = {
        "ApiError": lambda: ApiError(402, "pay first"),
        "NotPickled": lambda: NotPickled(402, "pay first"),
        "ChangesOnTheWay": lambda: ChangesOnTheWay(402, "pay first"),
        "Local": lambda: Local(402, "pay first"),
        "Exits": lambda: Exits("402: pay first"),
        "OddlyCancelled": lambda: OddlyCancelled(402, "pay first"),
    }
    raise errors[kind]()


_judge = ByException({ApiError: Never(), SystemExit: Never()}, otherwise=0.1)
fail_in_thread = app.task(name="fail_in_thread", retry=_judge)(fail)
fail_in_process = app.task(name="fail_in_process", retry=_judge, executor="process")(fail)


async def double(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


def traced(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as many are: it knows nothing of coroutines."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


class Doubler:
    @staticmethod
    async def double(n: int) -> int:
        return await double(n)

    async def method(self, n: int) -> int:
        return await double(n)

    def plain(self, n: int) -> Any:
        return double(n)

    class Callable:
        async def __call__(self, n: int) -> int:
            return await double(n)


RETURNS_A_COROUTINE: dict[str, Any] = {
    "wrapped": traced(double),
    "static": Doubler.__dict__["double"],
    "lambda": lambda n: double(n),
    "partial": functools.partial(traced(double), n=21),
    "partial_of_an_object": functools.partial(Doubler.Callable(), n=21),
    "partial_of_a_static": functools.partial(Doubler.__dict__["double"], n=21),
    "method": Doubler().method,
    "plain_method": Doubler().plain,
}
here = {name: app.task(name=f"{name}_here")(fn) for name, fn in RETURNS_A_COROUTINE.items()}

# A process finds these by the variable that holds them.
wrapped_there = app.task(name="wrapped_there", executor="process")(traced(double))
lambda_there = app.task(name="lambda_there", executor="process")(lambda n: double(n))
partial_there = app.task(name="partial_there", executor="process")(
    functools.partial(traced(double), n=21)
)
there = {"wrapped": wrapped_there, "lambda": lambda_there, "partial": partial_there}


@app.task(executor="process", max_attempts=1)
def ends_its_helpers() -> list[int | None]:
    """Starts a program and a fork of itself, and terminates both."""
    program = subprocess.Popen(["sleep", "600"])
    program.terminate()
    fork = multiprocessing.get_context("fork").Process(target=time.sleep, args=[600])
    fork.start()
    fork.terminate()
    fork.join()
    return [program.wait(), fork.exitcode]
