"""Who may see and do what."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, TypeAlias

from msgspec import structs
from starlette.requests import Request

from pgqueue.jobs import checks
from pgqueue.operations.inspections import WorkerInfo
from pgqueue.views.bridges import BridgeStatus

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

    Patterns are the shell's, ``mail*``. Raises ValueError for a verb that does not exist, and for
    a pattern that no name of a queue can match.
    """

    user: str
    may: frozenset[str] = field(default=VERBS)
    queues: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        if unknown := frozenset(self.may) - VERBS:
            raise ValueError(f"may: {min(unknown)}; there are {', '.join(sorted(VERBS))}")
        object.__setattr__(self, "may", frozenset(self.may))
        object.__setattr__(self, "queues", _checked(self.queues))

    def sees(self, queue: str) -> bool:
        """Does one of the patterns match?"""
        return any(fnmatchcase(queue, pattern) for pattern in self.queues)

    def sees_worker(self, worker: WorkerInfo) -> bool:
        """Does it serve a queue that the viewer sees, or would it, if such a queue had jobs?"""
        if self.sees_all or any(map(self.sees, worker.queues)):
            return True
        mine = [own for own in self.queues if not any(_within(own, out) for out in worker.excluded)]
        return any(_share(own, theirs) for own in mine for theirs in worker.patterns)

    def sees_all_of(self, worker: WorkerInfo) -> bool:
        """Does the viewer see every queue that it serves, also those that its patterns mean?"""
        return (
            self.sees_worker(worker)
            and all(map(self.sees, worker.queues))
            and all(any(_within(theirs, own) for own in self.queues) for theirs in worker.patterns)
        )

    def part_of(self, worker: WorkerInfo) -> WorkerInfo:
        """Return *worker* without what it says of queues that the viewer does not see.

        How many jobs it runs in all stays: its slots may be what the viewer's jobs wait for.
        """
        if self.sees_all:
            return worker
        patterns = {
            name: [each for each in told if any(_share(own, each) for own in self.queues)]
            for name, told in (("patterns", worker.patterns), ("excluded", worker.excluded))
        }
        info = {name: worker.info[name] for name in ("concurrency",) if name in worker.info}
        info |= {name: told for name, told in patterns.items() if told}
        return structs.replace(worker, queues=list(filter(self.sees, worker.queues)), info=info)

    def part_of_bridge(self, bridge: BridgeStatus) -> BridgeStatus:
        """Return *bridge* without the queue of an inlet, if the viewer does not see that."""
        seen = bridge.queue is None or self.sees(bridge.queue)
        return bridge if seen else structs.replace(bridge, queue=None)

    @property
    def only_queue(self) -> str | None:
        """The one queue that the viewer sees, where it is one alone, by its name."""
        [first, *others] = self.queues or ("*",)
        return None if others or set("*?[") & set(first) else first

    @property
    def sees_all(self) -> bool:
        return "*" in self.queues

    def only(self, verbs: Iterable[str]) -> Access:
        """Return this access with no verbs but *verbs*."""
        return Access(self.user, self.may & frozenset(verbs), self.queues)


def _checked(patterns: Any) -> tuple[str, ...]:
    """Return *patterns* of queues; refuse what no name of a queue can match, and a single text,
    which would be taken apart into its characters, of which one may be a star."""
    if isinstance(patterns, str):
        raise ValueError(f"queues: {patterns!r:.60} is one text; give a tuple of patterns")
    for pattern in (found := tuple(patterns)):
        if not isinstance(pattern, str):
            raise ValueError(f"queues: {pattern!r:.60} is not a str")
        checks.name("Access", "queues", re.sub(r"[*?]", "_", _unbracketed(pattern)))
    return found


def _within(narrow: str, wide: str) -> bool:
    """Does *wide* mean every name that *narrow* means? No, if *wide* has signs besides the star."""
    return narrow == wide or (not set("?[") & set(wide) and fnmatchcase(_unbracketed(narrow), wide))


def _share(one: str, other: str) -> bool:
    """Is there a name that both patterns mean? A bracket is taken to mean any sign."""
    mine, theirs = _unbracketed(one), _unbracketed(other)
    seen, places = set(), [(0, 0)]
    while places:
        at, there = place = places.pop()
        if place in seen or at > len(mine) or there > len(theirs):
            continue
        seen.add(place)
        left, right = mine[at : at + 1], theirs[there : there + 1]
        if not left and not right:
            return True
        if "*" in (left, right):
            places += [(at + 1, there), (at, there + 1)]
        elif left == right or (left and right and "?" in (left, right)):
            places.append((at + 1, there + 1))
    return False


def _unbracketed(pattern: str) -> str:
    """Return *pattern* with ``?``, any sign, instead of each bracket."""
    return re.sub(r"\[!?+\]?+[^\]]*\]", "?", pattern)


Authorize: TypeAlias = Callable[[Request], "Access | Awaitable[Access | None] | None"]


def allow_all(request: Request) -> Access:
    """Let everybody do everything: to be written out, never a default."""
    return Access(request.client.host if request.client else "somebody")
