"""A worker comes, lives and goes, and says what its jobs report."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from pgqueue.errors import SequencesBehind, StoreBusy
from pgqueue.operations.leases import draw_block
from pgqueue.operations.operation import Answers, Operation, nothing
from pgqueue.operations.params import as_json, boolean, instant, raw

Asked: TypeAlias = Literal["quiet", "stop"]


class ProgressReport(NamedTuple):
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


class Behind(msgspec.Struct, frozen=True):
    """A sequence whose *last* number is smaller than the *newest* in the rows."""

    sequence: str
    last: int
    newest: int
    cure: str


class Kept(set[tuple[int, int]]):
    """Whose report was kept; *held*: whose was not, as somebody else's transaction holds the job.

    What is in neither was lost to another owner.
    """

    held: frozenset[tuple[int, int]] = frozenset()


def progress(jobs: Sequence[ProgressReport]) -> Operation[Kept]:
    """Keeps what running jobs report, of those whose lease, (id, lease), still holds."""
    rows = [{"id": id, "lease": lease, "progress": raw(text)} for id, lease, text in sorted(jobs)]
    return Operation("progress", {"jobs": as_json(rows)}, _kept)


def alive(
    worker: int,
    running: int,
    profile: Mapping[str, Any],
    *,
    session: bool = False,
    now: datetime | None = None,
) -> Operation[Asked | None]:
    """This worker lives, with so many jobs in its hands; waits for nothing that concerns jobs.

    Answers what somebody asks of it. Where its row is gone, that is what the info of *profile* says
    under ``asked``.
    """
    params = {
        "worker": str(worker),
        "running": str(running),
        "profile": as_json(profile),
        "session": boolean(session),
        "now": instant(now),
    }
    return Operation("alive", params, lambda answers: answers[-1][0][0])


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
    """A worker process enters. *profile*: name, host, pid, queues, started_at, info.

    Its identity is drawn here, at random, and asking again with the same operation enters no second
    one. What a store counts begins again when the store goes back (a restored backup, a lost
    failover, an emptied server), while the workers of before live on. Beyond the numbers that the
    stores once counted, and a positive 32-bit integer, as PostgreSQL's advisory locks take it.
    Raises StoreBusy when another worker has that identity, and SequencesBehind when the store would
    give numbers that rows have already; a sequence that is less far behind is moved.
    """
    worker = secrets.randbelow(2**30) + 2**30

    def decode(answers: Answers) -> Membership:
        *checked, joined = answers
        if checked:
            _refuse_behind(msgspec.json.decode(str(checked[0][0][0]), type=list[Behind]))
        if not joined:
            raise StoreBusy("another worker has drawn the same identity; join again")
        return Membership(worker, draw_block())

    params = {
        "worker": str(worker),
        "profile": as_json(profile),
        "session": boolean(session),
        "now": instant(now),
    }
    return Operation("join", params, decode)


def direct(workers: Iterable[int], asked: Asked | None) -> Operation[list[int]]:
    """Ask *workers* to claim nothing more ("quiet"), to finish what runs and end ("stop"), or to
    claim again (None); answer those that are present. They are told at once."""
    params = {"workers": as_json(sorted(set(workers))), "asked": asked}
    return Operation("direct", params, lambda answers: [id for (id,) in answers[-1]])


def leave(worker: int) -> Operation[None]:
    """A worker process goes, with nothing left in its hands."""
    return Operation("leave", {"worker": str(worker)}, nothing)


def _refuse_behind(sequences: Iterable[Behind]) -> None:
    for behind in sequences:
        raise SequencesBehind(
            f"{behind.sequence} is at {behind.last}, but a job has the number {behind.newest}, so "
            f"numbers would be given twice; its owner runs {behind.cure}"
        )


def _kept(answers: Answers) -> Kept:
    kept = Kept((id, lease) for id, lease, is_kept in answers[0] if is_kept)
    kept.held = frozenset((id, lease) for id, lease, is_kept in answers[0] if not is_kept)
    return kept
