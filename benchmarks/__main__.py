"""python -m benchmarks SCENARIO: runs the contenders in turn, repeatedly, and compares them."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.contenders import Unsupported, contenders
from benchmarks.figures import Book, Row
from benchmarks.scenarios import NAMES, Case, cases
from benchmarks.site import Site, site

console = Console()


@click.command()
@click.argument("scenario", type=click.Choice(NAMES), metavar="SCENARIO")
@click.option("--repeat", type=int, help="How often each case is measured: 3 times; smoke once.")
@click.option("--size", type=int, help="How many jobs, instead of the scenario's own number.")
@click.option("--url", help="A server to measure on, instead of one of our own.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this contender; may be repeated.")
@click.option("--case", multiple=True, metavar="TEXT", help="Only cases with this in their title.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures there.")
def main(
    scenario: str,
    repeat: int | None,
    size: int | None,
    url: str | None,
    only: tuple[str, ...],
    case: tuple[str, ...],
    file: Path | None,
) -> None:
    """Measure one of: drain, held, enqueue, latency, idle, graphs, footprint, smoke."""
    chosen = [
        each
        for each in cases(scenario, size)
        if not case or any(text in each.title for text in case)
    ]
    book = Book()
    with site(url) as here:
        surroundings = _surroundings(here)
        with contextlib.suppress(KeyboardInterrupt):  # what there is by then is shown
            for repetition in range(repeat or (1 if scenario == "smoke" else 3)):
                for each in chosen:
                    _measure(here, book, each, repetition, only)
    rows = book.rows()
    _show(scenario, rows, surroundings)
    if file is not None:
        document = {
            "scenario": scenario,
            "surroundings": surroundings,
            "rows": [row.as_dict() for row in rows],
        }
        file.write_text(json.dumps(document, indent=1, ensure_ascii=False))


def _measure(here: Site, book: Book, case: Case, repetition: int, only: tuple[str, ...]) -> None:
    """One case with each contender, whose turns change: who comes first has no advantage."""
    known = contenders()
    names = [name for name in case.contenders if name in known and (not only or name in only)]
    turn = repetition % len(names) if names else 0
    for name in [*names[turn:], *names[:turn]]:
        with here.database(known[name]) as database:
            try:
                figures = case.measure(known[name], database)
            except Unsupported:
                continue
        book.note(case.title, case.baseline, name, repetition, figures)
        said = ", ".join(f"{_number(value)} {figure}" for figure, value in figures.items())
        console.print(f"{repetition + 1}. {case.title}: {name}: {said}", style="dim")


def _show(scenario: str, rows: list[Row], surroundings: dict[str, Any]) -> None:
    table = Table(title=f"{scenario}: medians, and ratios in the same run", title_justify="left")
    for column in ("case", "figure", "contender"):
        table.add_column(column)
    for column in ("median", "spread", "ratio"):
        table.add_column(column, justify="right")
    before = ("", "")
    for row in rows:
        table.add_row(
            row.case if row.case != before[0] else "",
            row.figure if (row.case, row.figure) != before else "",
            row.contender,
            _number(row.median),
            f"{row.spread:.0%}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
        )
        before = (row.case, row.figure)
    console.print(table)
    console.print(", ".join(f"{key} {value}" for key, value in surroundings.items()), style="dim")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _surroundings(here: Site) -> dict[str, Any]:
    return {
        **here.describe(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


main()
