"""What queues allow: said by code, changed while it runs, and asked by workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from pgqueue.jobs.job import State
from pgqueue.jobs.limits import KeyLimits, Limits, key_limits_of, limits_of
from pgqueue.operations.operation import Answers, Operation
from pgqueue.operations.params import as_json, boolean


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what its queue allows is used, as far as one job is concerned.

    *own* is what is different for its key; *holder* the job that nobody of its key may overtake.
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
    """A key that is treated in another way than the others of its queue."""

    queue: str
    key: str
    limits: KeyLimits


def declare_limits(queue: str, limits: Limits) -> Operation[Limits | None]:
    """Say what code allows of *queue*; answer what holds, which may have been changed since.

    A field that is another than code said last wins over the change.
    """
    return _limit(queue, limits.fields(), None, reset=False)


def limit(
    queue: str, changed: Mapping[str, Any] | None = None, *, reset: bool = False
) -> Operation[Limits | None]:
    """Change fields of what *queue* allows, None takes one away; answer what holds from now on.

    *reset* forgets earlier changes, so that what code has declared holds again.
    """
    return _limit(queue, None, dict(changed or {}), reset=reset)


def limit_key(queue: str, key: str, limits: KeyLimits | None) -> Operation[Limits | None]:
    """Treat one *key* of *queue* in another way than the others; None ends that."""
    params = {
        "queue": queue,
        "key": key,
        "limits": None if limits is None else as_json(limits.fields()),
    }
    return Operation("limit_key", params, _held)


class Terms(NamedTuple):
    """What a queue asks of its workers.

    *limited*: `claim_in_turn` serves it. *lowest_share*: so large a part of the claimed jobs is to
    be of other priorities than the most urgent one.
    """

    limited: bool
    lowest_share: float = 0.0


def turns(queues: Iterable[str]) -> Operation[dict[str, Terms]]:
    """Find which of *queues* have limits, or a lowest share; answer nothing of the others."""

    def decode(answers: Answers) -> dict[str, Terms]:
        return {name: Terms(bool(limited), share or 0.0) for name, limited, share in answers[0]}

    return Operation("turns", {"queues": as_json(sorted(queues))}, decode)


def exceptions() -> Operation[list[KeyException]]:
    """List the keys that are treated in another way than the others of their queues."""
    return Operation(
        "exceptions",
        {},
        lambda answers: [
            KeyException(queue, key, key_limits_of(msgspec.json.decode(text)))
            for queue, key, text in answers[0]
        ],
    )


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
