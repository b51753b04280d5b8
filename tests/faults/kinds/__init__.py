"""Kinds of faults: each strikes, lasts, and is healed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Literal

from tests.faults.fleet import Fleet, Process
from tests.faults.producer import Producer

# What tells that all is well again: the jobs in hand run elsewhere; each worker that was touched
# takes new jobs; somebody takes new jobs.
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

    def victim(self) -> Process:
        """A worker that lives; one that is at work, if there is one, or has started at least."""
        living = self.fleet.living()
        started = [worker for worker in living if worker.started]
        at_work = [worker for worker in started if worker.name in self.fleet.at_work()]
        return self.random.choice(at_work or started or living)


class Kind:
    """A fault. *strike* answers which workers it touches: nobody, if it is only in the way.

    *robs*: a worker that it touches is dead, frozen, or forgotten by the store, so others may take
    its jobs; without that, a second run is wrong. *held*, *schedule* and *forgot_since* are a
    fault's own, see `facts.Fault`.
    """

    name: ClassVar[str]
    robs: ClassVar[bool] = True
    measure: ClassVar[Measure | None] = None
    lasts: ClassVar[tuple[float, float]] = (0.0, 0.0)
    calm: ClassVar[float] = 0.0
    condition: ClassVar[bool] = False  # goes on while others strike
    always: ClassVar[bool] = False  # a condition in a hand of its own: again as soon as it is over
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
