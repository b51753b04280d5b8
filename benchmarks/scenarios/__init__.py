"""What is measured: one file each, with its cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TypeAlias

from benchmarks.contenders import Contender
from benchmarks.figures import Figures

NAMES = ("drain", "held", "enqueue", "latency", "idle", "graphs", "footprint", "smoke")

Measure: TypeAlias = Callable[[Contender, str], Figures]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure: *measure* gets a contender and a fresh database, answers figures.

    Ratios are taken to *baseline*.
    """

    title: str
    measure: Measure
    contenders: tuple[str, ...] = ("raw", "pgqueue")
    baseline: str = "raw"


def cases(scenario: str, size: int | None) -> list[Case]:
    """The cases of that scenario; *size* instead of its usual number of jobs."""
    found: list[Case] = import_module(f"benchmarks.scenarios.{scenario}").cases(size)
    return found
