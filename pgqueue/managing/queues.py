"""`app.queues`: pause, resume and limit queues while they are at work.

    app.queues.pause("mail", "news", reason="the provider is down", by="ann")
    app.queues.limit("api", {"concurrency": 20, "rate": Rate(100, per=60)})

Each act is one transaction, with its note in the audit: it was done by *by*, or else by the
application's *actor*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pgqueue import operations
from pgqueue.backends.capabilities import require
from pgqueue.backends.plans import carry_out, carry_out_async, patiently, patiently_async
from pgqueue.jobs import checks
from pgqueue.jobs.limits import FIELDS, KeyLimits, Limits, checked_limits
from pgqueue.operations import Operation, Plan
from pgqueue.operations.auditing import noted
from pgqueue.operations.operation import one

if TYPE_CHECKING:
    from pgqueue.app import App

T = TypeVar("T")


class Queues:
    """The queues of an application's store."""

    def __init__(self, app: App) -> None:
        self._app = app

    def pause(self, *names: str, reason: str | None = None, by: str | None = None) -> None:
        """Hand out no more jobs of these queues; running jobs go on."""
        self._carry(lambda: self._pause(names, reason, by))

    async def pause_async(
        self, *names: str, reason: str | None = None, by: str | None = None
    ) -> None:
        """As `pause`, without blocking the event loop."""
        await self._carry_async(lambda: self._pause(names, reason, by))

    def resume(self, *names: str, reason: str | None = None, by: str | None = None) -> None:
        """Hand out the jobs of these queues again."""
        self._carry(lambda: self._resume(names, reason, by))

    async def resume_async(
        self, *names: str, reason: str | None = None, by: str | None = None
    ) -> None:
        """As `resume`, without blocking the event loop."""
        await self._carry_async(lambda: self._resume(names, reason, by))

    def limit(
        self,
        queue: str,
        changed: Mapping[str, Any] | None = None,
        *,
        reset: bool = False,
        reason: str | None = None,
        by: str | None = None,
    ) -> Limits | None:
        """Change limits of *queue*, None removes one; return the limits in force now.

        The fields are those of `Limits`. *reset* forgets earlier changes, so that the limits
        declared in code hold again. Raises InvalidJob, MissingCapability.
        """
        return self._carry(lambda: self._limit(queue, changed, reset, reason, by))

    async def limit_async(
        self,
        queue: str,
        changed: Mapping[str, Any] | None = None,
        *,
        reset: bool = False,
        reason: str | None = None,
        by: str | None = None,
    ) -> Limits | None:
        """As `limit`, without blocking the event loop."""
        return await self._carry_async(lambda: self._limit(queue, changed, reset, reason, by))

    def limit_key(
        self,
        queue: str,
        key: str,
        limits: KeyLimits | None,
        *,
        reason: str | None = None,
        by: str | None = None,
    ) -> None:
        """Give one *key* of *queue* limits of its own; None removes them. Raises InvalidJob,
        MissingCapability."""
        self._carry(lambda: self._limit_key(queue, key, limits, reason, by))

    async def limit_key_async(
        self,
        queue: str,
        key: str,
        limits: KeyLimits | None,
        *,
        reason: str | None = None,
        by: str | None = None,
    ) -> None:
        """As `limit_key`, without blocking the event loop."""
        await self._carry_async(lambda: self._limit_key(queue, key, limits, reason, by))

    def _pause(self, names: tuple[str, ...], reason: str | None, by: str | None) -> Plan[None]:
        for name in _checked(names):
            yield from self._noted(operations.pause(name), "pause", name, reason, by)

    def _resume(self, names: tuple[str, ...], reason: str | None, by: str | None) -> Plan[None]:
        for name in _checked(names):
            yield from self._noted(operations.resume(name), "resume", name, reason, by)

    def _limit(
        self,
        queue: str,
        changed: Mapping[str, Any] | None,
        reset: bool,
        reason: str | None,
        by: str | None,
    ) -> Plan[Limits | None]:
        require(self._app.backend, "limits")
        fields = _fields(queue, changed or {})
        asked = operations.limit(queue, fields, reset=reset)
        if not fields and not reset:  # only read: nothing is changed that a note could tell of
            return (yield from one(asked))
        return (yield from self._noted(asked, "limit", queue, reason, by))

    def _limit_key(
        self, queue: str, key: str, limits: KeyLimits | None, reason: str | None, by: str | None
    ) -> Plan[None]:
        require(self._app.backend, "limits")
        _checked([queue])
        checks.key(queue, "key", key, checks.MAX_KEY_CHARS)
        if limits is not None:
            checks.integer(queue, "weight", limits.weight, 1, 1_000)
            checked_limits(queue, Limits(limits.concurrency, limits.rate))
        asked = operations.limit_key(queue, key, limits)
        said = "as the others" if limits is None else str(limits) or "no limits"
        yield from noted(
            one(asked),
            self._app.acting(by),
            "limit",
            target=f"queue {queue}",
            reason=reason,
            answer=lambda _: f"key {key}: {said}",
        )

    def _noted(
        self, asked: Operation[T], verb: str, queue: str, reason: str | None, by: str | None
    ) -> Plan[T]:
        def answer(held: T) -> str:
            return str(held or Limits()) if verb == "limit" else f"{verb}d"

        return noted(
            one(asked),
            self._app.acting(by),
            verb,
            target=f"queue {queue}",
            reason=reason,
            answer=answer,
        )

    def _carry(self, plan: Callable[[], Plan[T]]) -> T:
        def carried() -> T:
            with self._app.backend.transaction() as executor:
                return carry_out(plan(), executor.execute)

        return patiently(carried)

    async def _carry_async(self, plan: Callable[[], Plan[T]]) -> T:
        async def carried() -> T:
            async with self._app.backend.transaction_async() as executor:
                return await carry_out_async(plan(), executor.execute)

        return await patiently_async(carried)


def _checked(names: tuple[str, ...] | list[str]) -> tuple[str, ...] | list[str]:
    for name in names:
        checks.name("queues", "queue", name)
    return names


def _fields(queue: str, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return *changed* as the store keeps it. Raises InvalidJob."""
    _checked([queue])
    if unknown := changed.keys() - set(FIELDS):
        checks.refuse(queue, min(unknown), f"there is no such limit; there are {', '.join(FIELDS)}")
    kept = checked_limits(queue, Limits(**changed)).fields()
    return {name: kept.get(name) for name in changed}
