"""What can be said about how a worker works; each has an environment variable and a flag."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from os import PathLike
from types import MappingProxyType

from pgqueue.jobs import checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a worker works. Durations are in seconds.

    *queues*: ``"mail,default:5"``, names or a mapping; a number is how many of this queue's jobs
    this process runs at once. A name with a ``*`` is a pattern, ``"gpu.*"``: all such queues, also
    those that come later. *exclude_queues*: names and patterns that no pattern means. *max_jobs*:
    stop after so many. *concurrency*: how many jobs at once, of all queues. *threads*:
    how many of them may be plain functions, each of which is likely to hold a connection of its
    own to your database. *drain*: stop when nothing is left that could be run now. *grace*: how
    long jobs may go on after SIGTERM.
    *poll_interval*: how often to look, at the least, should a notification be lost.
    *heartbeat_interval*: how often to say what is held. *frozen_after*: without a heartbeat for so
    long, a worker's jobs are taken from it. *term*: how long a leader leads without renewing.
    *sleep_after*: idle for so long, a worker asks to be notified. *start_timeout*:
    how long to wait for the store at the start. *pool_processes*: how many
    processes run the tasks with ``executor="process"``; as many as there are cores, unless given.
    *inlets*: take messages for all of the application's inlets, or for those with these names.
    *health_port*, on *health_host*: where to answer probes over HTTP; 0 is any port that is free.
    *health_file*: which file to write every five seconds, for probes that run a command.
    """

    queues: str | Iterable[str] | Mapping[str, int | None] = "default"
    exclude_queues: str | Iterable[str] = ()
    concurrency: int = 100
    threads: int = 16
    drain: bool = False
    max_jobs: int | None = None
    grace: float = 30.0
    poll_interval: float = 30.0
    heartbeat_interval: float = 10.0
    frozen_after: float = 60.0
    term: float = 15.0
    sleep_after: float = 0.02
    start_timeout: float = 30.0
    pool_processes: int | None = None
    name: str | None = None
    inlets: bool | Collection[str] = False
    health_port: int | None = None
    health_host: str = "0.0.0.0"
    health_file: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "queues", MappingProxyType(_queues(self.queues)))
        object.__setattr__(self, "exclude_queues", tuple(_excluded(self.exclude_queues)))
        for name in self.queue_concurrency:
            if self.excludes(name):
                raise ValueError(f"queues: {name} is among exclude_queues, too")
        if self.max_jobs is not None and self.max_jobs < 1:
            raise ValueError(f"max_jobs {self.max_jobs}: at least one")
        if self.concurrency < 1:
            raise ValueError(f"concurrency {self.concurrency}: at least one job at once")
        if self.threads < 1:
            raise ValueError(f"threads {self.threads}: at least one")
        if self.health_port is not None and not 0 <= self.health_port < 65536:
            raise ValueError(f"health_port {self.health_port}: a port is below 65,536")
        for duration in (
            "grace",
            "poll_interval",
            "sleep_after",
            "heartbeat_interval",
            "frozen_after",
            "term",
            "start_timeout",
        ):
            if getattr(self, duration) < 0:
                raise ValueError(f"{duration} {getattr(self, duration)} is negative")
        if self.frozen_after <= self.heartbeat_interval:
            raise ValueError(
                f"frozen_after {self.frozen_after} must be longer than heartbeat_interval "
                f"{self.heartbeat_interval}, or live workers lose their jobs"
            )

    @property
    def queue_concurrency(self) -> Mapping[str, int | None]:
        """The queues that are named, and how many jobs of each at once."""
        return {name: limit for name, limit in self._given.items() if "*" not in name}

    @property
    def patterns(self) -> Mapping[str, int | None]:
        """The patterns of queues, and how many jobs of each such queue at once."""
        return {name: limit for name, limit in self._given.items() if "*" in name}

    def matching(self, queues: Iterable[str]) -> dict[str, int | None]:
        """Those of *queues* that a pattern means, and how many jobs of each at once."""
        return {
            queue: limit
            for queue in queues
            if queue not in self.queue_concurrency and not self.excludes(queue)
            for limit in [limit for name, limit in self.patterns.items() if _means(name, queue)][:1]
        }

    def excludes(self, queue: str) -> bool:
        """Whether *queue* is among those that no pattern means."""
        return any(_means(name, queue) for name in self.exclude_queues)

    @property
    def _given(self) -> Mapping[str, int | None]:
        assert isinstance(self.queues, Mapping)
        return self.queues


def _means(name: str, queue: str) -> bool:
    """Does *name*, a queue's name or a pattern, match *queue*?"""
    return fnmatchcase(queue, name)  # its only sign that may be in a name is the star


def _excluded(names: str | Iterable[str]) -> Iterator[str]:
    if isinstance(names, str):
        names = [part.strip() for part in names.split(",") if part.strip()]
    for name in names:
        checks.name("worker", "exclude_queues", name.replace("*", "_"))
        yield name


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
        checks.name("worker", "queues", name.replace("*", "_"))
        if limit is not None and limit < 1:
            raise ValueError(f"queues: {name}:{limit}; at least one job at once")
    return dict(queues)
