"""What is done to queues: pause, resume, and what they allow."""

from __future__ import annotations

from typing import Any

from pgqueue import operations
from pgqueue.backends.capabilities import require
from pgqueue.dashboard.actions.asked import Asked, Done
from pgqueue.jobs import checks
from pgqueue.jobs.limits import LIMITS, KeyLimits, Limits, checked_limits
from pgqueue.operations import Plan


def pause(asked: Asked) -> Plan[Done]:
    """Hand out no more jobs of queues."""
    queues = _queues(asked)
    for queue in queues:
        yield operations.pause(queue)
    return Done(f"paused {', '.join(queues)}")


def resume(asked: Asked) -> Plan[Done]:
    """Hand out jobs of queues again."""
    queues = _queues(asked)
    for queue in queues:
        yield operations.resume(queue)
    return Done(f"resumed {', '.join(queues)}")


def limit(asked: Asked) -> Plan[Done]:
    """Set what a queue allows, or one of its keys; an empty field has no limit."""
    require(asked.app.backend, "limits")
    [queue] = _queues(asked)[:1]
    form = asked.form
    if key := form.text("key"):
        limits = KeyLimits(
            form.integer("concurrency"), form.rate("rate"), form.integer("weight") or 1
        )
        checks.key(queue, "key", key, checks.MAX_KEY_CHARS)
        checks.integer(queue, "weight", limits.weight, 1, 1_000)
        checked_limits(queue, Limits(limits.concurrency, limits.rate))
        held = yield operations.limit_key(queue, key, None if form.said("none") else limits)
        own = "as the others" if form.said("none") else str(limits) or "no limits"
        return Done(f"{queue}: key {key}: {own}")
    if form.said("reset"):
        held = yield operations.limit(queue, reset=True)
        return Done(f"{queue}: {held or Limits()}, as the code says")
    said = Limits(
        form.integer("concurrency"),
        form.rate("rate"),
        form.integer("key_concurrency"),
        form.rate("key_rate"),
        form.text("ordered") == "yes",
    )
    fields: dict[str, Any] = dict.fromkeys(LIMITS) | checked_limits(queue, said).fields()
    held = yield operations.limit(queue, fields)
    return Done(f"{queue}: {held or Limits()}")


def _queues(asked: Asked) -> list[str]:
    named = asked.form.all("queue")
    queues = [checks.name("queues", "queue", name) for name in named if asked.access.sees(name)]
    if not queues:
        raise ValueError("choose a queue that you see")
    return queues
