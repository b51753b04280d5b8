"""How the house stands: ``python -m tests.house`` prints its rooms, floors and circles.

A room is a module or package directly in ``pgqueue``; it stands one floor above the highest room
that it imports (imports that only a type checker sees do not count; those inside a function do).
A circle is a set of rooms that import one another: there must be none. Exits with 1 when there are
more than 25 rooms or 10 floors, a circle, a Python file above 420 lines or a median above 140.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
MOST_ROOMS, MOST_FLOORS, LONGEST_FILE, MEDIAN_FILE = 25, 10, 420, 140
ALLOWED = {("app", "worker"), ("worker", "cli"), ("contrib", "cli")}
"""Imports of what stands higher or on the roof, each made when it is called: `app.run_worker()`,
`python -m pgqueue.worker`, `manage.py pgqueue`."""


def main() -> int:
    """Print the house; the exit code says whether it is as it should be."""
    imports = rooms()
    floors = floors_of(imports)
    circles = circles_of(imports)
    lengths = sorted((len(path.read_text().splitlines()), path) for path in files())
    for floor in range(max(floors.values()), 0, -1):
        print(f"floor {floor:2}: {', '.join(sorted(r for r, at in floors.items() if at == floor))}")
    middle = median(length for length, _ in lengths)
    longest, where = lengths[-1]
    print(
        f"{len(imports)} rooms, {max(floors.values())} floors, {len(circles)} circles; "
        f"{len(lengths)} files, median {middle:g} lines, "
        f"longest {longest} ({where.relative_to(ROOT)})"
    )
    for circle in circles:
        print(f"circle: {' <-> '.join(sorted(circle))}")
    return int(
        len(imports) > MOST_ROOMS
        or max(floors.values()) > MOST_FLOORS
        or bool(circles)
        or longest > LONGEST_FILE
        or middle > MEDIAN_FILE
    )


def files() -> list[Path]:
    """The package's Python files that have something in them."""
    return [path for path in (ROOT / "pgqueue").rglob("*.py") if path.read_text().strip()]


def rooms() -> dict[str, set[str]]:
    """Which rooms each room imports."""
    imports: dict[str, set[str]] = {}
    for path in files():
        room = path.relative_to(ROOT / "pgqueue").parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        found = imports.setdefault(room, set())
        found |= {other for other in imported(ast.parse(path.read_text())) if other != room}
    return {
        room: {other for other in found if other in imports and (room, other) not in ALLOWED}
        for room, found in imports.items()
    }


def imported(tree: ast.AST) -> set[str]:
    """The rooms that *tree* imports, wherever it does, but for a type checker alone."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts == ["pgqueue"]:
                found |= {alias.name for alias in node.names}
            elif parts[0] == "pgqueue":
                found.add(parts[1])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "pgqueue" and len(parts) > 1:
                    found.add(parts[1])
        found |= imported(node)
    return found


def floors_of(imports: dict[str, set[str]]) -> dict[str, int]:
    """Each room's floor; rooms in a circle share one."""
    floors = dict.fromkeys(imports, 1)
    for _ in imports:
        for room, below in imports.items():
            floors[room] = max((floors[other] + 1 for other in below), default=1)
    return floors


def circles_of(imports: dict[str, set[str]]) -> list[set[str]]:
    """Sets of rooms that reach one another."""
    reach = {room: set(below) for room, below in imports.items()}
    for _ in imports:
        for below in reach.values():
            below |= {further for other in tuple(below) for further in reach[other]}
    circles: list[set[str]] = []
    for room in imports:
        circle = {other for other in reach[room] if room in reach[other]}
        if circle and circle not in circles:
            circles.append(circle)
    return circles


if __name__ == "__main__":
    sys.exit(main())
