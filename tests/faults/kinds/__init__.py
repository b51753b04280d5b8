"""Kinds of faults: each strikes, lasts, and is healed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Literal

from tests.faults.editor import Editor
from tests.faults.fleet import Fleet, Process
from tests.faults.producer import Producer

# Signs that all is well again: the jobs of touched workers run elsewhere; each touched worker
# takes new jobs; some worker takes new jobs.
Measure = Literal["jobs", "workers", "queue"]


class Missed(Exception):
    """There was nothing to strike: it does not count."""


@dataclass(frozen=True)
class Scene:
    """Where faults strike."""

    site: Any
    fleet: Fleet
    producer: Producer
    random: Random
    editors: Sequence[Editor] = ()

    def victim(self) -> Process:
        """A live worker; one that runs jobs, if there is one, or at least has started."""
        living = self.fleet.living()
        started = [worker for worker in living if worker.started]
        at_work = [worker for worker in started if worker.name in self.fleet.at_work()]
        return self.random.choice(at_work or started or living)

    @contextmanager
    def still(self, *, forgets: bool = False) -> Iterator[None]:
        """Nothing is enqueued meanwhile; *forgets*: see `Producer.still`."""
        with ExitStack() as stack:
            for agent in self.editors:
                stack.enter_context(agent.still())
            stack.enter_context(self.producer.still(forgets=forgets))
            yield


class Kind:
    """A fault. *strike* answers which workers it touches: none, if it is only in the way.

    *robs*: a worker that it touches is dead, frozen, or forgotten by the store, so others may take
    its jobs; otherwise a second run is wrong. For a fault's own *held*, *schedule* and
    *forgot_since* see `facts.Fault`.
    """

    name: ClassVar[str]
    robs: ClassVar[bool] = True
    measure: ClassVar[Measure | None] = None
    lasts: ClassVar[tuple[float, float]] = (0.0, 0.0)
    calm: ClassVar[float] = 0.0
    condition: ClassVar[bool] = False  # goes on while others strike
    always: ClassVar[bool] = False  # a condition with a dealer of its own: again once it is over
    held: frozenset[int] | None = None
    schedule: str | None = None
    forgot_since: float | None = None

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.site = scene.site

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks for it; None: nothing."""
        return None

    def strike(self) -> frozenset[str]:
        raise NotImplementedError

    @classmethod
    def span(cls) -> tuple[float, float]:
        """How long it lasts, from and to, in seconds."""
        return cls.lasts

    def heal(self) -> None:
        """Makes all well again; may be called when the store is away."""
