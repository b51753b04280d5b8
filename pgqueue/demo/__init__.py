"""`pgqueue demo`: real jobs on a real PostgreSQL. Its tasks are here, as in any application.

Each Python file of a directory is read by a job of its own; a last job waits for all of them and
merges what they found. Meanwhile some jobs are due at set instants, and some fail at first.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from pgqueue.app import App
from pgqueue.jobs.job import State
from pgqueue.operations.inspections import parents
from pgqueue.tasks.context import Context

SCHEMA: Final = "pgqueue_demo"
FILES: Final = "demo.files"
CLOCK: Final = "demo.clock"

app = App(schema=SCHEMA)


class Source(msgspec.Struct, frozen=True):
    """What one file holds; *error* when it is not Python after all."""

    path: str
    lines: int
    functions: int = 0
    classes: int = 0
    imports: tuple[str, ...] = ()
    error: str | None = None


class Report(msgspec.Struct, frozen=True):
    """All files together. *largest* by lines, *imported* by how many files import the module."""

    files: int
    lines: int
    functions: int
    classes: int
    unreadable: int
    missing: int
    largest: list[tuple[str, int]]
    imported: list[tuple[str, int]]


class NotYet(Exception):
    """Raised on purpose, so that a job has something to retry."""


@app.task(queue=FILES, executor="process", timeout=120)
def read_source(path: str) -> Source:
    """Read and parse one file."""
    text = Path(path).read_bytes()
    lines = text.count(b"\n")
    try:
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Source(path, lines, error=f"{type(error).__name__}: {error}")
    found: Counter[type[ast.AST]] = Counter()
    imports: set[str] = set()
    for node in ast.walk(tree):
        found[type(node)] += 1
        if isinstance(node, ast.Import):
            imports.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports.add(node.module.partition(".")[0])
    functions = found[ast.FunctionDef] + found[ast.AsyncFunctionDef]
    return Source(path, lines, functions, found[ast.ClassDef], tuple(sorted(imports)))


@app.task(queue=CLOCK)
async def report(ctx: Context) -> Report:
    """Merge the results of its parents, the jobs before it."""
    outcomes = await app.execute_async(parents([ctx.id]))
    texts = [o.result for o in outcomes if o.outcome == State.COMPLETED and o.result]
    sources = [msgspec.json.decode(text, type=Source) for text in texts]
    imported = Counter(module for source in sources for module in source.imports)
    largest = sorted(sources, key=lambda source: source.lines, reverse=True)
    return Report(
        files=len(sources),
        lines=sum(source.lines for source in sources),
        functions=sum(source.functions for source in sources),
        classes=sum(source.classes for source in sources),
        unreadable=sum(source.error is not None for source in sources),
        missing=len(outcomes) - len(sources),
        largest=[(source.path, source.lines) for source in largest[:5]],
        imported=imported.most_common(5),
    )


@app.task(queue=CLOCK)
async def tick(number: int) -> int:
    """Do nothing: the job is there to be due at a set instant."""
    return number


@app.task(queue=CLOCK, retry=0.2, max_attempts=3)
async def stumble(ctx: Context, number: int) -> int:
    """Fail at the first attempt."""
    if ctx.attempt == 1:
        raise NotYet(f"attempt 1 of job {ctx.id} fails on purpose")
    return number


@app.task(queue=CLOCK)
async def nothing() -> None:
    """Do nothing, to show what the queue itself costs."""
