"""Charts as SVG in the page: without scripts, and without styles but the style sheet's classes.

The pictures are stretched to the width that there is, so no text is in them: axes are HTML around
them. A picture has a title and a description; each of its steps says its figures when pointed at;
the same figures are in a table below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from markupsafe import Markup

from pgqueue.views.text import span

HEIGHT: Final = 100
WIDE: Final = 10
"""A step's width; all numbers here are of the picture's own units."""
STACKED: Final = ("completed", "retried", "discarded")
FAILED: Final = ("retried", "discarded")
CLASSES: Final = {"completed": "completed", "retried": "retryable", "discarded": "discarded"}
"""An outcome has the colour of the state that it leads to."""
Point: TypeAlias = Mapping[str, Any]


def ended(chart: Mapping[str, Any], id: str) -> Markup:
    """Return bars: what ended in each step, by outcome, one upon another."""
    return _stacked(chart, id, "Ended", STACKED)


def failed(chart: Mapping[str, Any], id: str) -> Markup:
    """Return bars: the attempts that failed in each step, whether there is another or not."""
    return _stacked(chart, id, "Failed", FAILED)


def _stacked(chart: Mapping[str, Any], id: str, title: str, names: Sequence[str]) -> Markup:
    def all_of(point: Point) -> int:
        return sum(point[name] for name in names)

    def counts(point: Point) -> str:
        return ", ".join(f"{point[n]:,} {n}" for n in names if point[n] or n == names[0])

    points = chart["points"]
    top = nice(max((all_of(point) for point in points), default=0))
    paths: dict[str, list[str]] = {name: [] for name in names}
    for n, point in enumerate(points):
        at = HEIGHT
        for name in names:
            height = HEIGHT * point[name] / top
            if height:
                at -= height
                x = n * WIDE + 1
                paths[name].append(f"M{x} {at:.4g}h{WIDE - 2}v{height:.4g}h-{WIDE - 2}z")
    drawn = [
        Markup('<path class="{} fill" d="{}"/>').format(CLASSES[name], "".join(path))
        for name, path in paths.items()
        if path
    ]
    most = max(points, key=all_of)
    said = (
        f"{_between(chart)}: {counts(chart['total'])}; most at {_clock(most['at'])}, "
        f"{all_of(most):,} {every(chart)}."
    )
    labels = [f"{top:,}", f"{top // 2:,}" if top > 1 else "", "0"]
    return _framed(id, f"{title} {every(chart)}", said, drawn, points, counts, labels)


def backlog(chart: Mapping[str, Any], id: str) -> Markup:
    """Return bars: the average number of waiting jobs in each step."""
    points = chart["points"]
    top = nice(math.ceil(max((point["waiting"] or 0 for point in points), default=0)))
    path = "".join(
        f"M{n * WIDE + 1} {HEIGHT - height:.4g}h{WIDE - 2}v{height:.4g}h-{WIDE - 2}z"
        for n, point in enumerate(points)
        if (height := HEIGHT * (point["waiting"] or 0) / top)
    )
    drawn = [Markup('<path class="waiting fill" d="{}"/>').format(path)] if path else []
    labels = [f"{top:,}", f"{top // 2:,}" if top > 1 else "", "0"]
    most = max(points, key=lambda point: point["waiting"] or 0)
    said = f"{_between(chart)}; most at {_clock(most['at'])}: {_waiting(most)}."
    return _framed(id, "Waiting", said, drawn, points, _waiting, labels)


def _waiting(point: Point) -> str:
    if point["waiting"] is None:
        return "nothing was there"
    due = point["oldest_due_seconds"]
    late = f", the first due for {span(due)}" if due else ""
    return f"{point['waiting']:,.4g} waiting, {point['running']:,.4g} running{late}"


def durations(chart: Mapping[str, Any], id: str, what: str, words: str) -> Markup:
    """Return two lines, the median and the 99th percentile of *what*, on a logarithmic scale."""
    points = chart["points"]
    fields = f"{what}_p99_seconds", f"{what}_p50_seconds"
    values = [point[field] for point in points for field in fields if point[field]]
    low = math.floor(math.log10(min(values, default=0.001)) + 1e-9)
    high = max(math.ceil(math.log10(max(values, default=1)) - 1e-9), low + 1)
    every_power = 1 if high - low <= 3 else 2
    high += (high - low) % every_power  # the labels are spread evenly

    def y(seconds: float) -> float:
        return HEIGHT - HEIGHT * (math.log10(max(seconds, 10**low)) - low) / (high - low)

    drawn = []
    for field, kind in zip(fields, ("p99", "p50"), strict=True):
        heights = [None if point[field] is None else y(point[field]) for point in points]
        drawn.append(Markup('<path class="{} line" d="{}"/>').format(kind, _line(heights)))

    def figures(point: Point) -> str:
        p99, p50 = (point[field] for field in fields)
        return "nothing ended" if p50 is None else f"median {span(p50)}, p99 {span(p99)}"

    said = f"{_between(chart)}: {figures(chart['total'])}."
    labels = [span(10.0**power).replace(".0 ", " ") for power in range(high, low - 1, -every_power)]
    return _framed(id, words, said, drawn, points, figures, labels)


def spark(line: Mapping[str, Any], words: str) -> Markup:
    """Return a small picture of what ended in each step."""
    values: Sequence[int] = line["ended"]
    top = max(values, default=0)
    if not top:
        return Markup("")
    path = "".join(
        f"M{n * 4} {24 - height:.3g}h3v{height:.3g}h-3z"
        for n, value in enumerate(values)
        if (height := 24 * value / top)
    )
    said = f"{line['name']}: {sum(values):,} ended in {words}, {top:,} at most at a time"
    return Markup(
        '<svg class="spark" role="img" viewBox="0 0 {} 24" preserveAspectRatio="none">'
        '<title>{}</title><path d="{}"/></svg>'
    ).format(len(values) * 4, said, path)


def nice(most: int) -> int:
    """Return the next number that is easily read, and can be halved."""
    if most <= 2:
        return max(most, 1)
    unit = 10 ** math.floor(math.log10(most))
    whole = (n * unit for n in (1, 2, 4, 6, 8, 10, 20) if n * unit >= most and n * unit % 2 == 0)
    return int(next(whole))


def _framed(
    id: str,
    title: str,
    said: str,
    drawn: Sequence[Markup],
    points: Sequence[Point],
    figures: Callable[[Point], str],
    labels: Sequence[str],
) -> Markup:
    """Put axes around what was drawn, and say what each step is."""
    width = len(points) * WIDE
    grid = Markup("").join(
        Markup('<path class="grid" d="M0 {0:g}H{1}"/>').format(
            HEIGHT * n / (len(labels) - 1), width
        )
        for n in range(len(labels))
    )
    steps = Markup("").join(
        Markup(
            '<rect class="step" x="{}" width="{}" height="{}"><title>{}: {}</title></rect>'
        ).format(n * WIDE, WIDE, HEIGHT, _clock(point["at"]), figures(point))
        for n, point in enumerate(points)
    )
    scale = Markup("").join(Markup("<span>{}</span>").format(label) for label in labels)
    return Markup(
        '<div class="plot"><div class="scale" aria-hidden="true">{scale}</div>'
        '<svg role="img" aria-labelledby="{id}-title {id}-said" viewBox="0 0 {width} {height}" '
        'preserveAspectRatio="none"><title id="{id}-title">{title}</title>'
        '<desc id="{id}-said">{said}</desc>{grid}{drawn}{steps}</svg></div>'
    ).format(
        scale=scale,
        id=id,
        width=width,
        height=HEIGHT,
        title=title,
        said=said,
        grid=grid,
        drawn=Markup("").join(drawn),
        steps=steps,
    )


def _line(heights: Sequence[float | None]) -> str:
    """A path through the middle of each step; where nothing is known, it is interrupted."""
    path = []
    for n, height in enumerate(heights):
        if height is None:
            continue
        begins = n == 0 or heights[n - 1] is None
        x = n * WIDE + WIDE / 2
        path.append(f"{'M' if begins else 'L'}{x:g} {height:.4g}")
        if begins and (n + 1 == len(heights) or heights[n + 1] is None):
            path.append("h.01")  # a point
    return "".join(path)


def every(chart: Mapping[str, Any]) -> str:
    """How often there is a bar: "per minute", "per 3 hours"."""
    seconds = chart["step_seconds"]
    number, unit = (seconds // 60, "minute") if seconds < 3600 else (seconds // 3600, "hour")
    return f"per {unit}" if number == 1 else f"per {number} {unit}s"


def _between(chart: Mapping[str, Any]) -> str:
    return f"From {_clock(chart['since'])} to {_clock(chart['until'])}"


def _clock(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
