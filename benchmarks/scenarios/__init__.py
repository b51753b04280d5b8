"""What is measured: one file each, with its cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TypeAlias

from benchmarks.figures import Figures
from benchmarks.stand import Stand

NAMES = (
    "drain",
    "enqueue",
    "latency",
    "bursts",
    "held",
    "backlog",
    "graphs",
    "idle",
    "limits",
    "footprint",
    "smoke",
)
EVERYWHERE = ("postgres", "sqlite", "redis")

Measure: TypeAlias = Callable[[Stand], Figures]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure: *measure* gets a contender on an empty store, and answers figures.

    *contenders* are those of our own; peers join them where they are asked for, and where the case
    is not about us alone (*peers*). Ratios are taken to *baseline*.
    """

    title: str
    measure: Measure
    contenders: tuple[str, ...] = ("raw", "pgqueue")
    baseline: str = "raw"
    backends: tuple[str, ...] = EVERYWHERE
    peers: bool = True


def cases(scenario: str, size: int | None, backend: str) -> list[Case]:
    """The cases of that scenario; *size* instead of its usual number of jobs."""
    found: list[Case] = import_module(f"benchmarks.scenarios.{scenario}").cases(size)
    return [case for case in found if backend in case.backends]
