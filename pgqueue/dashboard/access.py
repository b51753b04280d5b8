"""Who may see and do what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

from starlette.requests import Request

READING: Final = frozenset({"see", "reveal"})
VERBS: Final = READING | {
    "retry",
    "cancel",
    "release",
    "move",
    "reprioritise",
    "enqueue",
    "pause",
    "resume",
    "limit",
    "schedule",
    "workers",
}
"""What a route may ask for. *reveal* shows values that look like secrets; *schedule* is all that
can be done to schedules, *workers* to workers."""


@dataclass(frozen=True, slots=True)
class Access:
    """What one viewer may do: *may* of `VERBS`, in queues whose names match one of *queues*.

    Patterns are the shell's, ``mail*``. Raises ValueError for a verb that does not exist.
    """

    user: str
    may: frozenset[str] = field(default=VERBS)
    queues: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        if unknown := frozenset(self.may) - VERBS:
            raise ValueError(f"may: {min(unknown)}; there are {', '.join(sorted(VERBS))}")
        object.__setattr__(self, "may", frozenset(self.may))

    def sees(self, queue: str) -> bool:
        """Does one of the patterns match?"""
        return any(fnmatchcase(queue, pattern) for pattern in self.queues)

    @property
    def sees_all(self) -> bool:
        return "*" in self.queues

    def only(self, verbs: Iterable[str]) -> Access:
        """Return this access with no verbs but *verbs*."""
        return Access(self.user, self.may & frozenset(verbs), self.queues)


Authorize: TypeAlias = Callable[[Request], "Access | Awaitable[Access | None] | None"]


def allow_all(request: Request) -> Access:
    """Let everybody do everything: to be written out, never a default."""
    return Access(request.client.host if request.client else "somebody")
