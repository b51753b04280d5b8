"""What was measured, for a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def show(console: Console, document: dict[str, Any]) -> None:
    """The figures, what is missing and why, and what they depend on."""
    title = f"{document['scenario']} on {document['backend']}: medians, and ratios in the same run"
    table = Table(title=title, title_justify="left")
    for column in ("case", "figure", "contender"):
        table.add_column(column)
    for column in ("median", "spread", "ratio"):
        table.add_column(column, justify="right")
    before = ("", "")
    for row in document["rows"]:
        case, figure = row["case"], row["figure"]
        table.add_row(
            case if case != before[0] else "",
            figure if (case, figure) != before else "",
            row["contender"],
            number(row["median"]),
            f"{spread(row):.0%}",
            "" if row["ratio"] is None else f"{row['ratio']:.2f}",
        )
        before = (case, figure)
    console.print(table)
    for absence in document["absences"]:
        line = f"{absence['case']}: {absence['contender']}: {absence['reason']}"
        console.print(escape(line), style="yellow")
    for contender in document["contenders"]:
        named = ": ".join([contender["name"], *contender["packages"][:1], contender["settings"]])
        console.print(escape(named), style="dim")
    line = ", ".join(f"{key} {value}" for key, value in document["surroundings"].items())
    console.print(escape(line), style="dim")


def number(value: float) -> str:
    """Three digits, or all of a large one."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def spread(row: dict[str, Any]) -> float:
    """The distance from the lowest to the highest, as a part of the median."""
    low, high = min(row["values"]), max(row["values"])
    return float((high - low) / row["median"]) if row["median"] else 0.0
