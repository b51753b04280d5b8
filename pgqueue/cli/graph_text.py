"""A graph drawn for the terminal: a node a line, parents above, edges in lanes at the left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.text import Text

from pgqueue.cli import output
from pgqueue.views.graph_layout import Node

MAX_LANES = 24
MARKS = {
    "blocked": "○",
    "scheduled": "◔",
    "available": "◌",
    "running": "◉",
    "retryable": "↻",
    "completed": "●",
    "cancelled": "⊘",
    "discarded": "✗",
}


def draw(ordered: list[Node], now: datetime) -> Iterator[Text]:
    """A line for each node, with lanes for its edges as long as there is room for them.

    A lane leads to one child; all its parents join it. Children beyond the room get no lane, and
    their line names the parents instead.
    """
    lanes: list[Node | None] = []
    for node in ordered:
        known = node in lanes
        lane = lanes.index(node) if known else _free(lanes)
        if lane is None:
            yield Text.assemble("│ " * len(lanes), _line(node, now, named=True))
            continue
        lanes[lane] = None
        joined = [n for n, child in enumerate(lanes) if child in node.children]
        opened: list[int] = []
        for child in node.children:
            if child not in lanes:
                place = lane if lanes[lane] is None and lane not in opened else _free(lanes)
                if place is None:
                    continue
                lanes[place] = child
                opened.append(place)
        passing = [n for n, child in enumerate(lanes) if child is not None and n not in opened]
        row = ["│" if n in passing else " " for n in range(len(lanes))]
        row[lane] = "\0"
        head = "".join(f"{cell} " for cell in row)
        before, _, after = head.partition("\0")
        named = bool(node.parents) and not known
        mark = Text(MARKS[node.state], output.STYLES.get(node.state, ""))
        yield Text.assemble(before, mark, after, _line(node, now, named=named))
        reach = sorted({*joined, *opened} - {lane})
        if reach:
            yield Text(_branches(lanes, lane, joined, opened))
        while lanes and lanes[-1] is None:
            lanes.pop()


def _branches(lanes: list[Node | None], lane: int, joined: list[int], opened: list[int]) -> str:
    """The line below a node that leads to more than its own lane."""
    ends = {*joined, *opened, lane}
    left, right = min(ends), max(ends)
    cells = []
    for n, child in enumerate(lanes):
        inside = left <= n < right
        if n == lane:
            down = lane in opened
            cell = {
                (False, True): "├" if down else "╰",
                (True, False): "┤" if down else "╯",
                (True, True): "┼" if down else "┴",
            }[left < n, right > n]
        elif n in opened:
            cell = "╮" if n == right else "╭" if n == left else "┬"
        elif n in joined:
            cell = "┤" if n == right else "├" if n == left else "┼"
        elif child is not None:
            cell = "│"
        else:
            cell = "─" if left < n < right else " "
        cells.append(cell + ("─" if inside else " "))
    return "".join(cells).rstrip()


def _free(lanes: list[Node | None]) -> int | None:
    if None in lanes:
        return lanes.index(None)
    if len(lanes) < MAX_LANES:
        lanes.append(None)
        return len(lanes) - 1
    return None


def _line(node: Node, now: datetime, *, named: bool) -> Text:
    parts: list[str | Text | tuple[str, str]] = [" ", (node.title, "bold"), "  "]
    for n, (state, count) in enumerate(sorted(node.states.items())):
        parts.append(", " if n else "")
        parts.append(f"{count} " if len(node.jobs) > 1 else "")
        parts.append(output.state_text(state))
    took = node.took(now)
    if took is not None:
        parts.append((f"  {output.span(took)}", "dim"))
    if len(node.jobs) == 1 and node.jobs[0].reason:
        parts.append((f"  {output.shortened(node.jobs[0].reason, 80)}", "dim"))
    if named:
        after = ", ".join(str(parent.jobs[0].id) for parent in node.parents[:5])
        parts.append((f"  after {after}{', …' if len(node.parents) > 5 else ''}", "dim"))
    return Text.assemble(*parts)
