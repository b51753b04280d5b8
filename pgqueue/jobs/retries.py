"""How long to wait before a failed job's next attempt.

A policy is a value with one pure method, `delay(attempt, error)`: *attempt* counts from 1, and None
means that no attempt will help, so the job is discarded now. A task takes any of these:

    retry=Exponential(base=1, cap=600)          retry=5         # Constant(5)
    retry=ByException({TimeoutError: Constant(5), ValueError: Never()})
    retry=lambda attempt, error: attempt * 2    # seconds, a timedelta, or None
    retry=tenacity.wait_random_exponential(max=60)

The number of attempts is not up to the policy: it is the job's *max_attempts*.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Protocol, TypeAlias, cast, runtime_checkable

from pgqueue.jobs import checks

Duration: TypeAlias = timedelta | float


@runtime_checkable
class Policy(Protocol):
    """Decides when a failed job is tried again."""

    def delay(self, attempt: int, error: BaseException) -> timedelta | None:
        """Return how long to wait after *attempt* failed with *error*; None: never again."""


RetryFunction: TypeAlias = Callable[[int, BaseException], "Duration | None"]
Retries: TypeAlias = "Policy | RetryFunction | Duration"


@dataclass(frozen=True)
class Exponential:
    """Wait *base*, then *factor* times as long after each failure, up to *cap*.

    *jitter* shortens each delay at random by up to that fraction, so that jobs that failed together
    do not come back together; *rng* returns a number from 0 to 1. The defaults wait 3 s, 9 s, 27 s
    … : ten attempts span about eight hours, long enough to outlive a bad night.
    """

    base: Duration = 3
    factor: float = 3
    cap: Duration = timedelta(days=1)
    jitter: float = 0.2
    rng: Callable[[], float] = field(default=random.random, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_jitter(self.jitter)
        if not 1 <= self.factor < float("inf"):
            raise ValueError(f"factor: {self.factor} would not grow; give 1 or more")
        object.__setattr__(self, "base", checks.to_duration(self.base))
        object.__setattr__(self, "cap", checks.to_duration(self.cap))

    def delay(self, attempt: int, error: BaseException) -> timedelta:
        cap = _seconds(self.cap)
        try:
            seconds = min(_seconds(self.base) * self.factor ** (attempt - 1), cap)
        except OverflowError:
            seconds = cap
        return _jittered(seconds, self.jitter, self.rng)


@dataclass(frozen=True)
class Linear:
    """Wait *step*, twice *step*, three times …, up to *cap*; *jitter* as in `Exponential`."""

    step: Duration
    cap: Duration = timedelta(days=1)
    jitter: float = 0.2
    rng: Callable[[], float] = field(default=random.random, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_jitter(self.jitter)
        object.__setattr__(self, "step", checks.to_duration(self.step))
        object.__setattr__(self, "cap", checks.to_duration(self.cap))

    def delay(self, attempt: int, error: BaseException) -> timedelta:
        seconds = min(_seconds(self.step) * attempt, _seconds(self.cap))
        return _jittered(seconds, self.jitter, self.rng)


@dataclass(frozen=True)
class Constant:
    """Wait the same time after each failure; *jitter* as in `Exponential`, none unless given."""

    seconds: Duration
    jitter: float = 0
    rng: Callable[[], float] = field(default=random.random, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_jitter(self.jitter)
        object.__setattr__(self, "seconds", checks.to_duration(self.seconds))

    def delay(self, attempt: int, error: BaseException) -> timedelta:
        return _jittered(_seconds(self.seconds), self.jitter, self.rng)


@dataclass(frozen=True)
class Never:
    """Make no second attempt: the first failure discards the job."""

    def delay(self, attempt: int, error: BaseException) -> None:
        return None


@dataclass(frozen=True)
class Function:
    """Wait what *decide(attempt, error)* returns: seconds, a timedelta, or None for never."""

    decide: RetryFunction

    def delay(self, attempt: int, error: BaseException) -> timedelta | None:
        answer = self.decide(attempt, error)
        return None if answer is None else checks.to_duration(answer)


class ByException:
    """Use the policy of the error's class or nearest base in *policies*, else *otherwise*."""

    def __init__(
        self,
        policies: Mapping[type[BaseException], Retries],
        otherwise: Retries | None = None,
    ) -> None:
        self.policies: Final = {kind: policy(given) for kind, given in policies.items()}
        self.otherwise: Final = policy(otherwise)

    def delay(self, attempt: int, error: BaseException) -> timedelta | None:
        chosen = next(
            (self.policies[kind] for kind in type(error).__mro__ if kind in self.policies),
            self.otherwise,
        )
        return chosen.delay(attempt, error)

    def __repr__(self) -> str:
        return f"ByException({self.policies!r}, otherwise={self.otherwise!r})"


@dataclass(frozen=True)
class Tenacity:
    """Use a wait strategy of tenacity, called as if tenacity's own loop had just failed."""

    wait: Any

    def delay(self, attempt: int, error: BaseException) -> timedelta:
        from tenacity import RetryCallState

        state: Any = RetryCallState(cast("Any", None), fn=None, args=(), kwargs={})
        state.attempt_number = attempt
        state.set_exception((type(error), error, error.__traceback__))
        return checks.to_duration(float(self.wait(state)))


def policy(retry: Retries | None) -> Policy:
    """Return *retry* as a policy; None is the default one."""
    if retry is None:
        return DEFAULT
    if isinstance(retry, type):
        name = retry.__name__
        raise TypeError(f"retry is the class {name}; give an instance, {name}(...)")
    if isinstance(retry, Policy):
        return retry
    if isinstance(retry, (timedelta, int, float)) and not isinstance(retry, bool):
        return Constant(retry)
    tenacity = sys.modules.get("tenacity.wait")
    if tenacity is not None and isinstance(retry, tenacity.wait_base):
        return Tenacity(retry)
    if callable(retry):
        return Function(retry)
    raise TypeError(f"retry is {retry!r}; give a policy, seconds, or a function (attempt, error)")


def _check_jitter(jitter: float) -> None:
    if not 0 <= jitter <= 1:
        raise ValueError(f"jitter: {jitter} is no fraction; give one from 0 to 1")


def _jittered(seconds: float, jitter: float, rng: Callable[[], float]) -> timedelta:
    return timedelta(seconds=seconds * (1 - jitter * rng()))


def _seconds(duration: Duration) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


DEFAULT: Final = Exponential()
