"""benchmarks/README.md, from `intro.md` and what is kept in results/."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.plots import draw
from benchmarks.scenarios import NAMES
from benchmarks.tables import number, spread

FOLDER = Path(__file__).parent
STORES = {"postgres": "PostgreSQL", "sqlite": "SQLite", "redis": "Redis"}


def write(folder: Path = FOLDER) -> list[Path]:
    """Writes the report and its pictures; answers what was written."""
    documents = sorted(
        (json.loads(path.read_text()) for path in (folder / "results").glob("*.json")), key=_rank
    )
    pictures = [path for document in documents for path in draw(document, folder / "results")]
    readme = folder / "README.md"
    readme.write_text("\n".join([(FOLDER / "intro.md").read_text(), *sections(documents)]))
    return [readme, *pictures]


def _rank(document: dict[str, Any]) -> tuple[int, int]:
    return [*STORES].index(document["backend"]), NAMES.index(document["scenario"])


def sections(documents: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The lines on each run, by store."""
    store = ""
    for document in documents:
        if document["backend"] != store:
            store = document["backend"]
            yield f"## {STORES[store]}\n"
        yield from _section(document)


def _section(document: dict[str, Any]) -> Iterator[str]:
    name = f"{document['backend']}-{document['scenario']}"
    yield f"### {document['scenario']}\n"
    if document["rows"]:
        yield f"![{document['scenario']} on {STORES[document['backend']]}](results/{name}.svg)\n"
    cases = [entry["case"] for key in ("rows", "absences") for entry in document[key]]
    for case in dict.fromkeys(cases):
        yield from _table(document, case)
    yield from _circumstances(document)


def _table(document: dict[str, Any], case: str) -> Iterator[str]:
    """One row a contender: the median, in brackets its ratio to the bare one of the same run."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in document["rows"]:
        if row["case"] == case:
            found.setdefault(row["contender"], {})[row["figure"]] = row
    figures = list(dict.fromkeys(figure for rows in found.values() for figure in rows))
    yield f"**{case}**\n"
    yield f"| | {' | '.join([*figures, 'spread'])} |"
    yield f"|---|{'---:|' * (len(figures) + 1)}"
    for contender, rows in found.items():
        cells = [_cell(rows.get(figure)) for figure in figures]
        widest = max(spread(row) for row in rows.values())
        yield f"| {contender} | {' | '.join([*cells, f'{widest:.0%}'])} |"
    yield ""
    for absence in document["absences"]:
        if absence["case"] == case:
            yield f"* {absence['contender']}: {absence['reason']}"
    yield ""


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    ratio = "" if row["ratio"] is None else f" ({row['ratio']:.2f})"
    return f"{number(row['median'])}{ratio}"


def _circumstances(document: dict[str, Any]) -> Iterator[str]:
    yield "<details><summary>Contenders, machine, command</summary>\n"
    for contender in document["contenders"]:
        packages = ", ".join(f"`{package}`" for package in contender["packages"])
        settings = f"{packages}: {contender['settings']}" if packages else contender["settings"]
        yield f"* {contender['name']}: {settings}"
    settings = ", ".join(f"{key} {value}" for key, value in document["surroundings"].items())
    yield f"\n{document['began']} UTC, {document['minutes']:g} minutes: {settings}\n"
    yield f"`{document['command']}`\n"
    yield "</details>\n"
