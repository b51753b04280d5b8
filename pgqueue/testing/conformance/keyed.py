"""Jobs that have keys, and the keys of what was claimed."""

from __future__ import annotations

from pgqueue.operations import ClaimedInTurn, ClaimedJob
from pgqueue.testing.conformance.store import Store, a_job


def fill(store: Store, keys: str, each: int = 1, queue: str = "default") -> dict[str, list[int]]:
    """Enqueue *each* jobs of every key, and return their ids by key; a blank is no key."""
    made: dict[str, list[int]] = {}
    for _ in range(each):
        for letter in keys:
            key = letter.strip()
            made.setdefault(key, []).append(store.add(a_job(key=key or None, queue=queue)))
    return made


def keys_of(turn: ClaimedInTurn | list[ClaimedJob]) -> str:
    """Return the keys of what was claimed, in turn; a blank is no key."""
    jobs = turn.jobs if isinstance(turn, ClaimedInTurn) else turn
    return "".join(job.key or " " for job in jobs)
