"""What makes two jobs the same, until when, and what happens to the second: three questions.

    @app.task(unique=Unique("account_id", until=3600))            # at most one an hour
    @app.task(unique=Unique("doc_id", until="started", conflict="replace"))   # the newest waits

| until \\ conflict | return | raise | replace | Merge |
|---|---|---|---|---|
| finished | yes | yes | no: data for a job that runs would be lost | no |
| started | yes | yes | yes | yes |
| seconds | yes | yes | no: the job may have ended | no |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, NoReturn, TypeAlias, get_args

from pgqueue.errors import InvalidTask
from pgqueue.jobs import checks

Outcome: TypeAlias = Literal["created", "existing", "replaced", "next"]
MADE: Final = frozenset({"created", "next"})

Kept: TypeAlias = Literal[
    "args", "expires", "key", "max_attempts", "metadata", "priority", "queue", "run_at", "tags",
    "timeout",
]  # fmt: skip
Until: TypeAlias = Literal["finished", "started"] | float | timedelta
_FREE: Final = ("return", "raise")
_ALLOWED: Final = {
    "finished": (_FREE, "data for a job that runs would be lost"),
    "started": ((*_FREE, "replace", "Merge(...)"), ""),
    "seconds": (_FREE, "the job may have ended"),
}


@dataclass(frozen=True, init=False)
class Merge:
    """The lists in these arguments are joined; all other arguments are the newest job's."""

    arguments: tuple[str, ...]

    def __init__(self, *arguments: str) -> None:
        if not arguments or not all(isinstance(name, str) for name in arguments):
            _refuse(f"Merge{arguments!r:.80}: give the names of arguments that are lists")
        object.__setattr__(self, "arguments", tuple(dict.fromkeys(arguments)))


Conflict: TypeAlias = Literal["return", "raise", "replace"] | Merge


@dataclass(frozen=True, init=False)
class Unique:
    """What makes jobs the same, how long, and what happens when a second one is enqueued.

    *arguments*: the names of those that count, all unless given; or instead *key*: a template, a
    function of the arguments, or, in `options`, a whole key. *queue*: the queue counts too.
    *until*, how long the key holds: until the job has "finished"; until it has "started", then one
    more may wait behind it; or for so many seconds from its enqueue, whatever becomes of it.
    *conflict*: "return" the existing job, or "raise" DuplicateJob; with "started" also "replace"
    it, or `Merge` lists of both. *keep*: the fields of the old job that a replacement does not
    change; with "run_at" the job is not put off. *at_most*: it is not put off beyond so many
    seconds from its first enqueue.

    Raises InvalidTask for options that contradict each other.
    """

    arguments: tuple[str, ...]
    key: str | Callable[..., str | None] | None
    queue: bool
    until: Literal["finished", "started"] | float
    conflict: Conflict
    keep: tuple[Kept, ...]
    at_most: float | None

    def __init__(
        self,
        *arguments: str,
        key: str | Callable[..., str | None] | None = None,
        queue: bool = False,
        until: Until = "finished",
        conflict: Conflict = "return",
        keep: Iterable[Kept] = (),
        at_most: float | timedelta | None = None,
    ) -> None:
        if not all(isinstance(name, str) for name in arguments):
            _refuse(f"Unique{arguments!r:.80}: give names of arguments")
        if key is not None and arguments:
            _refuse("Unique: give the names of arguments or a key, not both")
        if key is not None and not isinstance(key, str) and not callable(key):
            _refuse(f"Unique: key={key!r:.80}: give a text, a template or a function")
        if isinstance(keep, str):
            _refuse(f"Unique: keep={keep!r}: give a tuple of names")
        values = {
            "arguments": tuple(dict.fromkeys(arguments)),
            "key": key,
            "queue": queue,
            "until": until if until in ("finished", "started") else _seconds("until", until),
            "conflict": conflict,
            "keep": tuple(dict.fromkeys(keep)),
            "at_most": None if at_most is None else _seconds("at_most", at_most),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    @property
    def seconds(self) -> float | None:
        """How many seconds the key holds, if *until* is a time; else None."""
        return None if isinstance(self.until, str) else self.until

    @property
    def replaces(self) -> bool:
        """May a waiting job be changed by a second one?"""
        return self.conflict == "replace" or isinstance(self.conflict, Merge)

    @property
    def is_default(self) -> bool:
        """Is it the rule of ``unique=True``, whatever the key?"""
        return self.until == "finished" and self.conflict == "return"

    def _check(self) -> None:
        until = self.until if isinstance(self.until, str) else "seconds"
        legal, reason = _ALLOWED[until]
        said = "Merge(...)" if isinstance(self.conflict, Merge) else self.conflict
        if said not in legal:
            known = said in _ALLOWED["started"][0]
            _refuse(
                f"Unique: conflict={self.conflict!r:.80}"
                + (f" with until={self.until!r}: {reason}" if known else "")
                + f"; until={until} allows {', '.join(legal)}"
                + ('; until="started" allows all' if until != "started" and known else "")
            )
        for name, given in (("keep", self.keep), ("at_most", self.at_most)):
            if given and not self.replaces:
                _refuse(f'Unique: {name}: it belongs to conflict="replace" or Merge(...)')
        if unknown := [name for name in self.keep if name not in get_args(Kept)]:
            _refuse(f"Unique: keep: {unknown[0]!r:.80}; give some of {', '.join(get_args(Kept))}")
        if self.at_most is not None and "run_at" in self.keep:
            _refuse('Unique: at_most: with keep=("run_at",) it is never put off; give one of them')
        if isinstance(self.conflict, Merge) and "args" in self.keep:
            _refuse("Unique: keep: arguments that are merged cannot stay as they are")


def _seconds(name: str, value: Any) -> float:
    try:
        seconds = checks.to_duration(value).total_seconds()
    except (TypeError, ValueError) as error:
        allowed = ', "finished" or "started"' if name == "until" else ""
        raise InvalidTask(f"Unique: {name}: {error}; give seconds{allowed}") from None
    if not seconds:
        _refuse(f"Unique: {name}: 0 s is no time; give more than 0")
    return seconds


def _refuse(message: str) -> NoReturn:
    raise InvalidTask(message)
