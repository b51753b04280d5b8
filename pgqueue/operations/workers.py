"""A worker comes, lives and goes, and says what its jobs report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pgqueue.operations.operation import Operation, nothing
from pgqueue.operations.params import as_json, boolean, instant, raw


class Progress(NamedTuple):
    """What a running job says of itself; *progress* is JSON text {fraction, note, checkpoint}."""

    id: int
    lease: int
    progress: str


class Held(NamedTuple):
    """A lease that still holds."""

    id: int
    lease: int
    cancel_requested: bool


class Membership(NamedTuple):
    """A worker's identity, and the first of the ten million leases it may give out."""

    worker: int
    lease: int


def progress(jobs: Sequence[Progress]) -> Operation[set[tuple[int, int]]]:
    """Keeps what running jobs report; answers (id, lease) of those whose lease still holds."""
    rows = [{"id": id, "lease": lease, "progress": raw(text)} for id, lease, text in sorted(jobs)]
    return Operation("progress", {"jobs": as_json(rows)}, lambda a: {(id, lse) for id, lse in a[0]})


def heartbeat(
    worker: int,
    leases: Iterable[tuple[int, int]],
    profile: Mapping[str, Any],
    *,
    session: bool = False,
    now: datetime | None = None,
) -> Operation[dict[tuple[int, int], Held]]:
    """This worker lives; answers what of *leases*, (job id, lease), it still holds."""
    held = list(leases)
    params = {
        "worker": str(worker),
        "running": str(len(held)),
        "jobs": as_json([{"id": id, "lease": lease} for id, lease in held]),
        "profile": as_json(profile),
        "session": boolean(session),
        "now": instant(now),
    }
    return Operation("heartbeat", params, lambda a: {(row[0], row[1]): Held(*row) for row in a[-1]})


def join(
    profile: Mapping[str, Any], *, session: bool = False, now: datetime | None = None
) -> Operation[Membership]:
    """A worker process enters. *profile*: name, host, pid, queues, started_at, info."""
    params = {"profile": as_json(profile), "session": boolean(session), "now": instant(now)}
    return Operation("join", params, lambda a: Membership(*a[0][0][:2]))


def leave(worker: int) -> Operation[None]:
    """A worker process goes, with nothing left in its hands."""
    return Operation("leave", {"worker": str(worker)}, nothing)


def reserve() -> Operation[int]:
    """Another block of ten million leases; answers the first."""
    return Operation("reserve", {}, lambda a: int(a[0][0][0]))
