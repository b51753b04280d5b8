"""The state of outlets and inlets: what each worker reports, and the sum of these reports.

With its heartbeats, in `info`, a worker names the bridges of its application, and the state of
those that it serves. So whoever may read workers sees that state, without a broker's credentials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from pgqueue.views.printable import printable

Kind: TypeAlias = Literal["outlet", "inlet"]


class BridgeState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An outlet or inlet as one worker sees it; instants are by that worker's clock.

    *away_since*: its broker is out of reach, *why*, and *next_look_at* it is tried again: an
    outlet's gate is shut. *paused_since*: more than *high_water* jobs wait, so an inlet takes
    nothing. *problems*: what an inlet's source said when it was examined.
    """

    name: str
    kind: Kind
    place: str = ""
    away_since: datetime | None = None
    why: str | None = None
    next_look_at: datetime | None = None
    queue: str | None = None
    paused_since: datetime | None = None
    high_water: int | None = None
    problems: list[str] = []


class BridgeStatus(BridgeState, kw_only=True, omit_defaults=False):
    """The same for all workers together: *workers* serve it, of these *away* cannot reach its
    broker, since *away_since* or longer.

    Of an outlet so many messages are *waiting*, the first has been due for *oldest_due_seconds*;
    *capped*: perhaps more. *dead*: so many messages are dead letters, of an inlet those that could
    not be read; None: not counted. *dead_capped*: at least.
    """

    workers: int = 0
    away: int = 0
    waiting: int | None = None
    capped: bool = False
    oldest_due_seconds: float | None = None
    dead: int | None = None
    dead_capped: bool = False

    @property
    def is_shut(self) -> bool:
        """Whether none of the workers that serve it reaches its broker."""
        return 0 < self.workers == self.away

    def add(self, state: BridgeState) -> None:
        """Count one worker's *state* in."""
        self.workers += 1
        self.place = self.place or state.place
        self.queue = self.queue or state.queue
        for problem in state.problems:
            if problem not in self.problems:
                self.problems = [*self.problems, problem]
        if state.paused_since is not None:
            self.paused_since = _least(self.paused_since, state.paused_since)
            self.high_water = state.high_water
        if state.away_since is not None:
            self.away += 1
            self.away_since = _least(self.away_since, state.away_since)
            self.why = self.why or state.why
            if state.next_look_at is not None:
                self.next_look_at = _least(self.next_look_at, state.next_look_at)


def info_of(states: Iterable[BridgeState]) -> dict[str, Any]:
    """Return the part of a worker's `info` about the bridges that it serves; {} if none.

    Others have written the texts: a broker's error may hold what no store takes.
    """
    told: list[dict[str, Any]] = []
    for state in states:
        fields = msgspec.to_builtins(state)
        fields |= {name: _safe(fields[name]) for name in ("place", "why") if name in fields}
        if state.problems:
            fields["problems"] = [_safe(each) for each in state.problems]
        told.append(fields)
    return {"bridges": told} if told else {}


def _safe(text: str) -> str:
    return printable(text[:300])


def states_of(info: Mapping[str, Any]) -> list[BridgeState]:
    """Return the state of a worker's bridges; skip those that cannot be read."""
    found = []
    for each in info.get("bridges") or ():
        try:
            found.append(msgspec.convert(each, BridgeState))
        except msgspec.ValidationError:
            continue
    return found


def bridges(infos: Iterable[Mapping[str, Any]]) -> list[BridgeStatus]:
    """All outlets and inlets that workers, by their *infos*, serve or know of; outlets first."""
    known: dict[tuple[Kind, str], BridgeStatus] = {}
    declared: dict[Kind, set[str]] = defaultdict(set)
    for info in infos:
        for state in states_of(info):
            status = known.setdefault(
                (state.kind, state.name), BridgeStatus(name=state.name, kind=state.kind)
            )
            status.add(state)
        declared["outlet"] |= set(info.get("outlets") or ())
        declared["inlet"] |= set(info.get("inlets") or ())
    for kind, names in declared.items():
        for name in names:
            known.setdefault((kind, name), BridgeStatus(name=name, kind=kind))
    return sorted(known.values(), key=lambda each: (each.kind == "inlet", each.name))


def _least(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else min(one, other)
