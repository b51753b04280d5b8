"""Limits as they are typed on a command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from pgqueue.errors import InvalidJob
from pgqueue.jobs import checks
from pgqueue.jobs.limits import LIMITS, KeyLimits, Limits, Rate, checked_limits, lowest_share
from pgqueue.views import typed


def changes(queue: str, fields: Mapping[str, Any], *, nothing: bool) -> dict[str, Any]:
    """The changed fields of *queue*'s limits, as the store keeps them. Raises UsageError."""
    if nothing:
        return dict.fromkeys(LIMITS)
    given = _checked(queue, fields).fields()
    return given | ({"ordered": None} if fields["ordered"] is False else {})


def exception(
    queue: str, key: str, weight: int | None, fields: Mapping[str, Any], nothing: bool
) -> KeyLimits | None:
    """The limits of *key* alone; None for no exception. Raises UsageError."""
    if any(fields[name] is not None for name in ("key_concurrency", "key_rate", "ordered")):
        raise click.UsageError("with --key, give --concurrency, --rate or --weight")
    limits = _checked(queue, fields)
    try:
        checks.key(queue, "key", key, checks.MAX_KEY_CHARS)
        checks.integer(queue, "weight", 1 if weight is None else weight, 1, 1_000)
    except InvalidJob as error:
        raise click.UsageError(str(error)) from error
    return None if nothing else KeyLimits(limits.concurrency, limits.rate, weight or 1)


def share(queue: str, part: float) -> dict[str, Any]:
    """The changed field for a lowest share of *part*; 0 removes it. Raises UsageError."""
    try:
        checks.name("queues", "QUEUE", queue)
        return {"lowest_share": lowest_share(queue, part) or None}
    except InvalidJob as error:
        raise click.UsageError(str(error)) from error


def rate(text: str | None) -> Rate | None:
    """Read "100/60s", "10/s", "1000/1h". Raises UsageError."""
    try:
        return None if text is None else typed.rate(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _checked(queue: str, fields: Mapping[str, Any]) -> Limits:
    try:
        checks.name("queues", "QUEUE", queue)
        return checked_limits(
            queue,
            Limits(
                fields["concurrency"],
                rate(fields["rate"]),
                fields["key_concurrency"],
                rate(fields["key_rate"]),
                bool(fields["ordered"]),
            ),
        )
    except InvalidJob as error:
        raise click.UsageError(str(error)) from error
