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
    """One thing to measure: *measure* gets a contender and a fresh database, answers figures."""

    title: str
    measure: Measure
    contenders: tuple[str, ...] = ("raw", "pgqueue")


@dataclass(frozen=True, slots=True)
class Scenario:
    """Cases, and the contender that ratios are taken to."""

    cases: list[Case]
    baseline: str = "raw"


def scenario(name: str, size: int | None) -> Scenario:
    """The scenario of that name; *size* instead of its usual number of jobs."""
    found: Scenario = import_module(f"benchmarks.scenarios.{name}").scenario(size)
    return found
