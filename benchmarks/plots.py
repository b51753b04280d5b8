"""What was measured, as pictures: one SVG a scenario and store, one panel a case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.tables import number

# What a case is about, where that is not the first figure it has.
HEADLINES = (
    "start p50 ms",
    "late p99 ms",
    "last / first",
    "x independent",
    "worker CPU ms/min",
    "MB at the end",
)
OURS, BARE, OTHERS = "#2f6f4f", "#9aa5a0", "#c98f3c"
WIDTH, BAR, HEAD = 8.0, 0.24, 0.62


def draw(document: dict[str, Any], folder: Path) -> list[Path]:
    """Writes the picture of one run; needs the extra ``bench``."""
    panels = list(_panels(document))
    if not panels:
        return []
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pgqueue", "font.size": 9})
    heights = [HEAD + BAR * len(rows) for _, _, rows in panels]
    picture = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    axes = picture.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for (case, figure, rows), (axis,) in zip(panels, axes, strict=True):
        values = [row["median"] for row in rows]
        names = [row["contender"] for row in rows]
        bars = axis.barh(names, values, color=[_colour(name) for name in names], height=0.7)
        axis.bar_label(bars, [f" {number(value)}" for value in values])
        axis.set_title(f"{case}: {figure}", loc="left", fontsize=9)
        axis.invert_yaxis()
        axis.margins(x=0.12)
        axis.xaxis.set_visible(False)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{document['backend']}-{document['scenario']}.svg"
    picture.savefig(path, metadata={"Date": None})
    return [path]


def _panels(document: dict[str, Any]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    rows = document["rows"]
    for case in dict.fromkeys(row["case"] for row in rows):
        figures = list(dict.fromkeys(row["figure"] for row in rows if row["case"] == case))
        headline = next((figure for figure in HEADLINES if figure in figures), figures[0])
        shown = [row for row in rows if (row["case"], row["figure"]) == (case, headline)]
        yield case, headline, shown


def _colour(contender: str) -> str:
    if contender.partition("/")[0] == "pgqueue":
        return OURS
    return BARE if contender.startswith("raw") else OTHERS
