"""A filter chooses jobs, in the same way for lists, cancellations, retries and all other acts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import force_setattr

from pgqueue.errors import InvalidFilter, InvalidJob
from pgqueue.jobs import checks
from pgqueue.jobs.job import State

Scalar: TypeAlias = str | int | float | bool | None

UNFINISHED: Final = tuple(state for state in State if not state.finished)
WAITING: Final = tuple(state for state in UNFINISHED if state != State.RUNNING)
_EXACT: Final = 2**53 - 1  # the last integer that a double, Lua's number, tells from the next


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs that meet all given conditions; without any, all jobs.

    *state* is one or several; *error* the type of a job's last error, "ValueError"; *args* values
    that its arguments contain, `{"user.id": 7}`, where a dot leads into an object. *older_than* and
    *newer_than* count from a job's end or, if it has not ended, from its enqueue.
    *running_longer_than* chooses jobs that run now, and counts from their claim. Durations are
    timedeltas or seconds. Raises InvalidFilter.
    """

    state: State | str | Iterable[State | str] | None = None
    queue: str | None = None
    task: str | None = None
    tag: str | None = None
    key: str | None = None
    workflow: int | None = None
    error: str | None = None
    args: Mapping[str, Scalar] = {}
    older_than: timedelta | float | None = None
    newer_than: timedelta | float | None = None
    running_longer_than: timedelta | float | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "state", tuple(_states(self.state)))
        try:
            for field in ("queue", "task", "tag"):
                if (value := getattr(self, field)) is not None:
                    checks.name("Filter", field, value)
            if self.error is not None:
                checks.key("Filter", "error", self.error, checks.MAX_UNIQUE_CHARS)
            if self.key is not None:
                checks.key("Filter", "key", self.key, checks.MAX_KEY_CHARS)
            if self.workflow is not None:
                checks.integer("Filter", "workflow", self.workflow, 1, _EXACT)
            for field in ("older_than", "newer_than", "running_longer_than"):
                if (value := getattr(self, field)) is not None:
                    force_setattr(self, field, checks.duration("Filter", field, value))
        except InvalidJob as error:
            raise InvalidFilter(str(error)) from None
        _nested(self.args)

    @property
    def states(self) -> tuple[State, ...]:
        """The given states; with *running_longer_than* only running."""
        given: tuple[State, ...] = self.state  # type: ignore[assignment]  # by __post_init__
        if self.running_longer_than is None:
            return given
        return tuple(state for state in given or (State.RUNNING,) if state == State.RUNNING)

    @property
    def contained(self) -> dict[str, Any]:
        """*args* as the object that a job's arguments must contain."""
        return _nested(self.args)

    @property
    def only_age(self) -> timedelta | None:
        """*older_than*, if the filter has no other condition than that and states; else None."""
        bare = Filter(state=self.state, older_than=self.older_than)
        age = None if self.older_than is None else checks.to_duration(self.older_than)
        return age if self == bare else None

    def words(self) -> str:
        """Describe the filter in words: ``in queue mail, older than 90 days``."""
        return ", ".join(self._words())

    def _words(self) -> Iterator[str]:
        if self.states:
            yield f"in state {_either(self.states)}"
        for field, said in _SAID.items():
            if (value := getattr(self, field)) is not None:
                yield f"{said} {value}"
        for path, value in self.args.items():
            yield f"with {path} = {msgspec.json.encode(value).decode()}"
        for field, said in _LASTING.items():
            if (duration := getattr(self, field)) is not None:
                yield f"{said} {_span(duration)}"


_SAID: Final = {
    "queue": "in queue",
    "task": "of task",
    "tag": "with tag",
    "key": "with key",
    "workflow": "of workflow",
    "error": "whose last error is",
}
_LASTING: Final = {
    "older_than": "older than",
    "newer_than": "newer than",
    "running_longer_than": "running for more than",
}
_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def _states(given: object) -> Iterator[State]:
    for one in () if given is None else (given,) if isinstance(given, str) else given:  # type: ignore[attr-defined]  # iterable, if it is no text
        try:
            yield State(one)
        except ValueError:
            known = ", ".join(State)
            raise InvalidFilter(
                f"{checks.shown(one)} is not a state; give one of {known}"
            ) from None


def _nested(args: Mapping[str, Scalar]) -> dict[str, Any]:
    """Return *args* as one object; raise InvalidFilter if they contradict each other."""
    root: dict[str, Any] = {}
    for path, value in args.items():
        names = path.split(".")
        if not all(names) or any(sign in path for sign in '"[]\\\0'):
            raise InvalidFilter(
                f"args: {checks.shown(path)} leads nowhere; name a parameter, and what is in it "
                "after dots: user.id"
            )
        if not _is_scalar(value):
            raise InvalidFilter(
                f"args: {path} = {checks.shown(value)}: compare with a text, a number, true, "
                "false or null"
            )
        if isinstance(value, int) and abs(value) > _EXACT:
            raise InvalidFilter(f"args: {path} = {value} is beyond 2^53, where stores lose digits")
        at = root
        for name in names[:-1]:
            at = at.setdefault(name, {})
            if not isinstance(at, dict):
                raise InvalidFilter(f"args: {path}: {name} is to be a value and an object at once")
        if names[-1] in at:
            raise InvalidFilter(f"args: {path} is compared with two different values")
        at[names[-1]] = value
    return root


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float | None) and value == value  # NaN is not


def _either(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _span(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    for unit, length in _UNITS:
        if seconds >= length and seconds % length == 0:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return f"{seconds:g} seconds"
