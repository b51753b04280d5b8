"""Limits of queues: declared by code, changed at run time, and read by workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from pgqueue.jobs.job import State
from pgqueue.jobs.limits import KeyLimits, Limits, key_limits_of, limits_of
from pgqueue.operations.operation import Answers, Operation
from pgqueue.operations.params import as_json, boolean, instant


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what its queue allows is used, as far as one job is concerned.

    *own*: the limits of its key, where they differ from the others'; *holder*: in an ordered queue,
    the job of its key that must end first.
    """

    limits: dict[str, Any]
    own: dict[str, Any] = {}
    running: int = 0
    key_running: int = 0
    free_at: datetime | None = None
    key_free_at: datetime | None = None
    holder: int | None = None
    holder_state: State | None = None


class KeyException(msgspec.Struct, frozen=True):
    """A key that has limits of its own, and these."""

    queue: str
    key: str
    limits: KeyLimits


class KeyUsage(msgspec.Struct, frozen=True):
    """How many jobs of a key wait and run; the key "" stands for jobs without one.

    *started*: how many attempts began within the time of its rate. *limits*: its own, if it has
    some. Not *exact*: more jobs wait than were counted.
    """

    key: str
    waiting: int
    running: int
    started: int | None = None
    limits: KeyLimits | None = None
    exact: bool = True


class Usage(msgspec.Struct, frozen=True):
    """How much of what a queue allows is used, and the *keys* that have most jobs.

    *started*: how many attempts began within the time of its rate. Not *exact*: there are more
    keys, or running jobs, than were looked at.
    """

    running: int
    started: int | None = None
    keys: list[KeyUsage] = []
    exact: bool = True


def declare_limits(queue: str, limits: Limits) -> Operation[Limits | None]:
    """Declare the limits that code gives *queue*; answer those in force, which people may have
    changed.

    Where code gives a field another value than last time, that wins over the change.
    """
    return _limit(queue, limits.fields(), None, reset=False)


def limit(
    queue: str, changed: Mapping[str, Any] | None = None, *, reset: bool = False
) -> Operation[Limits | None]:
    """Change some limits of *queue*, None removes one; answer those in force from now on.

    *reset* forgets earlier changes, so that the limits that code has declared are in force again.
    """
    return _limit(queue, None, dict(changed or {}), reset=reset)


def limit_key(queue: str, key: str, limits: KeyLimits | None) -> Operation[Limits | None]:
    """Give one *key* of *queue* limits of its own; None takes them away."""
    params = {
        "queue": queue,
        "key": key,
        "limits": None if limits is None else as_json(limits.fields()),
    }
    return Operation("limit_key", params, _held)


class Terms(NamedTuple):
    """How workers have to claim from a queue.

    *limited*: by `claim_in_turn`. *lowest_share*: the part of the claimed jobs that is to be of
    less urgent priorities.
    """

    limited: bool
    lowest_share: float = 0.0


def turns(queues: Iterable[str]) -> Operation[dict[str, Terms]]:
    """Find which of *queues* have limits or a lowest share; the others are not in the answer."""

    def decode(answers: Answers) -> dict[str, Terms]:
        return {name: Terms(bool(limited), share or 0.0) for name, limited, share in answers[0]}

    return Operation("turns", {"queues": as_json(sorted(queues))}, decode)


def exceptions() -> Operation[list[KeyException]]:
    """List the keys that have limits of their own."""
    return Operation(
        "exceptions",
        {},
        lambda answers: [KeyException(queue, key, _own(text)) for queue, key, text in answers[0]],
    )


def usage(
    queue: str, most: int = 5, look: int = 1_000, *, now: datetime | None = None
) -> Operation[Usage]:
    """Count how many jobs of *queue* wait and run: in all, and for the *most* keys with most jobs.

    Of keys that have jobs waiting, the first *look* are looked at.
    """

    def decode(answers: Answers) -> Usage:
        *rows, (_, _, running, started, _, exact) = answers[-1]
        keys = [
            KeyUsage(key, waits, runs, _count(began), own and _own(own), bool(all_of_them))
            for key, waits, runs, began, own, all_of_them in rows
        ]
        keys.sort(key=lambda used: (-used.waiting - used.running, used.key))
        return Usage(running, _count(started), keys, bool(exact))

    params = {"queue": queue, "most": str(most), "look": str(look), "now": instant(now)}
    return Operation("usage", params, decode)


def _own(text: str) -> KeyLimits:
    return key_limits_of(msgspec.json.decode(text))


def _count(number: int | None) -> int | None:
    return None if number is None else int(number)


def _limit(
    queue: str, declared: dict[str, Any] | None, changed: dict[str, Any] | None, *, reset: bool
) -> Operation[Limits | None]:
    params = {
        "queue": queue,
        "declared": None if declared is None else as_json(declared),
        "changed": None if changed is None else as_json(changed),
        "reset": boolean(reset),
    }
    return Operation("limit", params, _held)


def _held(answers: Answers) -> Limits | None:
    [(text,)] = answers[-1]
    return None if text is None else limits_of(msgspec.json.decode(text))
