"""The queues of a campaign that have limits, and those limits."""

from __future__ import annotations

from math import inf
from typing import Any

from pgqueue import Rate

KEYS = 3
QUEUES: dict[str, dict[str, Any]] = {
    "api": {"key_concurrency": 2, "rate": Rate(12, per=1.5)},
    "line": {"ordered": True},
}
EXECUTORS = {"call": "api", "file": "line"}


def key(key: int, seconds: float, plan: str) -> str:
    """The key of order *key*'s job in its queue."""
    return f"k{key % KEYS}"


def most(queue: str, key: str | None) -> float:
    """How many jobs of *queue* may run at once, or of its *key*."""
    limits = QUEUES[queue]
    if key is None:
        return limits.get("concurrency", inf)
    return 1 if limits.get("ordered") else limits.get("key_concurrency", inf)
