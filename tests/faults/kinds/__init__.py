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
    """A fault. *strike* answers which workers it touches: nobody, if it is only in the way."""

    name: ClassVar[str]
    measure: ClassVar[Measure | None] = None
    lasts: ClassVar[tuple[float, float]] = (0.0, 0.0)
    condition: ClassVar[bool] = False  # goes on while others strike

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.site = scene.site

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks for it; None: nothing."""
        return None

    def strike(self) -> frozenset[str]:
        raise NotImplementedError

    def heal(self) -> None:
        """Makes all well again; may be called when the store is away."""
