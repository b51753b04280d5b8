"""python -m benchmarks SCENARIO: runs the contenders in turn, repeatedly, and compares them."""

from __future__ import annotations

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
from benchmarks.scenarios import NAMES, scenario
from benchmarks.site import Site, site

console = Console()


@click.command()
@click.argument("name", type=click.Choice(NAMES), metavar="SCENARIO")
@click.option("--repeat", default=3, show_default=True, help="How often each case is measured.")
@click.option("--size", type=int, help="How many jobs, instead of the scenario's own number.")
@click.option("--url", help="A server to measure on, instead of one of our own.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this contender; may be repeated.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures there.")
def main(
    name: str,
    repeat: int,
    size: int | None,
    url: str | None,
    only: tuple[str, ...],
    file: Path | None,
) -> None:
    """Measure one of: drain, held, enqueue, latency, idle, graphs, footprint, smoke."""
    chosen = scenario(name, size)
    known = contenders()
    book = Book(chosen.baseline)
    with site(url) as here:
        surroundings = _surroundings(here)
        for repetition in range(repeat):
            for case in chosen.cases:
                names = [n for n in case.contenders if n in known and (not only or n in only)]
                turn = repetition % len(names) if names else 0
                for contender in [*names[turn:], *names[:turn]]:
                    with here.database(known[contender]) as database:
                        try:
                            figures = case.measure(known[contender], database)
                        except Unsupported:
                            continue
                    book.note(case.title, contender, repetition, figures)
                    said = ", ".join(f"{value:,.4g} {figure}" for figure, value in figures.items())
                    console.log(f"{repetition + 1}/{repeat} {case.title}: {contender}: {said}")
    rows = book.rows()
    _show(name, rows, chosen.baseline, surroundings)
    if file is not None:
        document = {
            "scenario": name,
            "baseline": chosen.baseline,
            "surroundings": surroundings,
            "rows": [row.as_dict() for row in rows],
        }
        file.write_text(json.dumps(document, indent=1))


def _show(name: str, rows: list[Row], baseline: str, surroundings: dict[str, Any]) -> None:
    table = Table(title=f"{name}: medians, and ratios to {baseline}", title_justify="left")
    for column in ("case", "figure", "contender"):
        table.add_column(column)
    for column in ("median", "spread", "ratio"):
        table.add_column(column, justify="right")
    before = ("", "")
    for row in rows:
        here = (row.case, row.figure)
        ratio = "" if row.ratio is None or row.contender == baseline else f"{row.ratio:.2f}"
        table.add_row(
            row.case if row.case != before[0] else "",
            row.figure if here != before else "",
            row.contender,
            f"{row.median:,.4g}" if row.median < 1_000 else f"{row.median:,.0f}",
            f"{row.spread:.0%}",
            ratio,
        )
        before = here
    console.print(table)
    console.print(", ".join(f"{key} {value}" for key, value in surroundings.items()), style="dim")


def _surroundings(here: Site) -> dict[str, Any]:
    return {
        **here.describe(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


main()
