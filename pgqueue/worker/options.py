"""What can be said about how a worker works; each has an environment variable and a flag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pgqueue import checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a worker works. Durations are in seconds.

    *queues*: ``"mail,default:5"``, names or a mapping; a number is how many of this queue's jobs
    this process runs at once. *concurrency*: how many jobs at once, of all queues. *drain*: stop
    when nothing is left that could be run now. *grace*: how long jobs may go on after SIGTERM.
    *poll_interval*: how often to look, at the least, should a notification be lost.
    *heartbeat_interval*: how often to say what is held. *frozen_after*: without a heartbeat for so
    long, a worker's jobs are taken from it. *term*: how long a leader leads without renewing.
    *sleep_after*: idle for so long, a worker asks to be notified. *pool_processes*: how many
    processes run the tasks with ``executor="process"``; as many as there are cores, unless given.
    """

    queues: str | Iterable[str] | Mapping[str, int | None] = "default"
    concurrency: int = 100
    drain: bool = False
    grace: float = 30.0
    poll_interval: float = 30.0
    heartbeat_interval: float = 10.0
    frozen_after: float = 60.0
    term: float = 15.0
    sleep_after: float = 0.02
    pool_processes: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "queues", MappingProxyType(_queues(self.queues)))
        if self.concurrency < 1:
            raise ValueError(f"concurrency {self.concurrency}: at least one job at once")
        for duration in ("grace", "poll_interval", "heartbeat_interval", "frozen_after", "term"):
            if getattr(self, duration) < 0:
                raise ValueError(f"{duration} {getattr(self, duration)} is negative")
        if self.frozen_after <= self.heartbeat_interval:
            raise ValueError(
                f"frozen_after {self.frozen_after} must be longer than heartbeat_interval "
                f"{self.heartbeat_interval}, or live workers lose their jobs"
            )

    @property
    def limits(self) -> Mapping[str, int | None]:
        """The queues and how many jobs of each at once."""
        assert isinstance(self.queues, Mapping)
        return self.queues


def _queues(queues: str | Iterable[str] | Mapping[str, int | None]) -> dict[str, int | None]:
    if isinstance(queues, str):
        queues = [part.strip() for part in queues.split(",") if part.strip()]
    if not isinstance(queues, Mapping):
        parts = [str(part).partition("=" if "=" in str(part) else ":") for part in queues]
        try:
            queues = {name: int(limit) if limit else None for name, _, limit in parts}
        except ValueError:
            raise ValueError(
                f"queues: {', '.join(map(''.join, parts))}; write mail,default:5"
            ) from None
    if not queues:
        raise ValueError("queues: name at least one")
    for name, limit in queues.items():
        checks.name("worker", "queues", name)
        if limit is not None and limit < 1:
            raise ValueError(f"queues: {name}:{limit}; at least one job at once")
    return dict(queues)
