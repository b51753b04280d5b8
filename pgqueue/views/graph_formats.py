"""A graph for other programs: Mermaid, Graphviz, SVG."""

from __future__ import annotations

from datetime import datetime
from html import escape

from pgqueue.views import text
from pgqueue.views.graph_layout import Node, layers

COLOURS = {
    "blocked": "#e9d5ff",
    "scheduled": "#cffafe",
    "available": "#dbeafe",
    "running": "#fde68a",
    "retryable": "#fed7aa",
    "completed": "#bbf7d0",
    "cancelled": "#e5e7eb",
    "discarded": "#fecaca",
}
WIDTH, HEIGHT, GAP, RISE = 190, 44, 24, 56


def mermaid(ordered: list[Node], now: datetime) -> str:
    """Return the graph as a Mermaid flowchart."""
    lines = ["flowchart TD"]
    for node in ordered:
        text = f"{node.title}<br>{_summary(node, now)}".replace('"', "#quot;")
        lines.append(f'    {node.key}["{text}"]:::{node.state}')
    lines += [f"    {node.key} --> {child.key}" for node in ordered for child in node.children]
    for state in sorted({node.state for node in ordered}):
        lines.append(f"    classDef {state} fill:{COLOURS[state]},stroke:#374151,color:#111827")
    return "\n".join(lines)


def dot(ordered: list[Node], now: datetime) -> str:
    """Return the graph for Graphviz."""
    lines = ["digraph workflow {", "    node [shape=box, style=filled, fontname=Helvetica];"]
    for node in ordered:
        text = f"{node.title}\\n{_summary(node, now)}".replace('"', '\\"')
        lines.append(f'    {node.key} [label="{text}", fillcolor="{COLOURS[node.state]}"];')
    lines += [f"    {node.key} -> {child.key};" for node in ordered for child in node.children]
    return "\n".join([*lines, "}"])


def svg(ordered: list[Node], now: datetime) -> str:
    """Return a picture in layers, parents above their children, which needs no other file."""
    rows = layers(ordered)
    across = max((len(row) for row in rows), default=0) * (WIDTH + GAP) + GAP
    down = len(rows) * (HEIGHT + RISE) - RISE + 2 * GAP
    at: dict[int, tuple[float, float]] = {}
    for depth, row in enumerate(rows):
        margin = (across - len(row) * (WIDTH + GAP) + GAP) / 2
        for n, node in enumerate(row):
            at[id(node)] = (margin + n * (WIDTH + GAP), GAP + depth * (HEIGHT + RISE))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}" '
        f'viewBox="0 0 {across} {down}" font-family="Helvetica, Arial, sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for node in ordered:
        x, y = at[id(node)]
        for child in node.children:
            to_x, to_y = at[id(child)]
            x1, y1, x2, y2 = x + WIDTH / 2, y + HEIGHT, to_x + WIDTH / 2, to_y
            half = (y1 + y2) / 2
            curve = f"M{x1:g},{y1:g} C{x1:g},{half:g} {x2:g},{half:g} {x2:g},{y2:g}"
            lines.append(f'<path d="{curve}" fill="none" stroke="#9ca3af"/>')
    for node in ordered:
        x, y = at[id(node)]
        lines += [
            f"<g><title>{escape(node.jobs[0].reason or node.title)}</title>"
            f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" '
            f'fill="{COLOURS[node.state]}" stroke="#374151"/>',
            f'<text x="{x + 10:g}" y="{y + 18:g}" font-weight="bold">'
            f"{escape(text.shortened(node.title, 26))}</text>",
            f'<text x="{x + 10:g}" y="{y + 34:g}" fill="#374151">'
            f"{escape(text.shortened(_summary(node, now), 30))}</text></g>",
        ]
    return "\n".join([*lines, "</svg>"])


def _summary(node: Node, now: datetime) -> str:
    """Return the state of *node*, of several jobs how many are in which, and how long it took."""
    states = node.states
    if len(node.jobs) == 1:
        summary = node.state
    else:
        summary = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    took = node.took(now)
    return summary if took is None else f"{summary} · {text.span(took)}"
