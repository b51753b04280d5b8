"""Limits of a store that plays the model's history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pgqueue import operations
from pgqueue.jobs.limits import KeyLimits, Limits
from pgqueue.operations import KeyException, Terms, Usage
from pgqueue.testing.renumbered import RenumberedStore


class LimitedStore(RenumberedStore):
    """One store, with the model's verbs that concern limits, too."""

    def limit(self, queue: str, fields: dict[str, Any]) -> Limits | None:
        return self._do(operations.limit(queue, Limits(**fields).fields(), reset=True))

    def limit_key(self, queue: str, key: str, limits: KeyLimits | None) -> Limits | None:
        return self._do(operations.limit_key(queue, key, limits))

    def usage(self, queue: str, *, now: datetime) -> Usage:
        return self._do(operations.usage(queue, now=now))

    def turns(self, queues: Iterable[str]) -> dict[str, Terms]:
        return self._do(operations.turns(queues))

    def exceptions(self) -> list[KeyException]:
        return self._do(operations.exceptions())
