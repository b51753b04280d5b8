"""What was measured: medians, spread, and the ratio to the baseline of the same repetition."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

Figures: TypeAlias = dict[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one contender in one case, over all repetitions."""

    case: str
    figure: str
    contender: str
    values: tuple[float, ...]
    ratios: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        """The median of the ratios within each repetition; minutes apart nothing compares."""
        return median(self.ratios) if self.ratios else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "figure": self.figure,
            "contender": self.contender,
            "median": self.median,
            "ratio": self.ratio,
            "values": self.values,
        }


@dataclass(frozen=True, slots=True)
class Absence:
    """A contender that has no figures in a case, and why."""

    case: str
    contender: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        return {"case": self.case, "contender": self.contender, "reason": self.reason}


class Book:
    """Collects figures by case, contender and repetition."""

    def __init__(self) -> None:
        self._baselines: dict[str, str] = {}
        self._entries: dict[str, dict[str, dict[str, dict[int, float]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(dict))
        )
        self._absences: dict[tuple[str, str], str] = {}

    def note(
        self, case: str, baseline: str, contender: str, repetition: int, figures: Figures
    ) -> None:
        self._baselines[case] = baseline
        for figure, value in figures.items():
            self._entries[case][figure][contender][repetition] = value

    def note_absence(self, case: str, contender: str, reason: str) -> None:
        self._absences[case, contender] = reason

    def is_absent(self, case: str, contender: str) -> bool:
        """Whether this is noted already: trying again would only say the same."""
        return (case, contender) in self._absences

    def rows(self) -> list[Row]:
        """In the order in which the cases came."""
        rows = []
        for case, by_figure in self._entries.items():
            for figure, by_contender in by_figure.items():
                base = by_contender.get(self._baselines[case], {})
                for contender, values in by_contender.items():
                    compared = values.items() if values is not base else ()
                    ratios = [value / base[n] for n, value in compared if base.get(n)]
                    rows.append(Row(case, figure, contender, tuple(values.values()), tuple(ratios)))
        return rows

    def absences(self) -> list[Absence]:
        """Return the cases and contenders that have no figure in any repetition."""
        return [Absence(*key, reason) for key, reason in self._absences.items()]


def overlaps(runs: Iterable[tuple[str, float, float]], limit: int) -> tuple[int, int]:
    """The most runs of a key at once, and how many began when *limit* or more of it were going on.

    Each is a key, a begin and an end. What begins at the instant at which another ends does not
    overlap it.
    """
    changes = []
    for key, began, ended in runs:
        changes += [(began, 1, key), (ended, -1, key)]
    going: Counter[str] = Counter()
    most = above = 0
    for _, change, key in sorted(changes):
        going[key] += change
        if change > 0:
            most = max(most, going[key])
            above += going[key] > limit
    return most, above


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of values in ascending order; 0 without any."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
