"""What the demo prints: a bar, or lines, while it runs, and the report at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from pgqueue.demo import SCHEMA
from pgqueue.demo.play import Figures, Moment, Play
from pgqueue.demo.stage import Stage

_LINE_SECONDS = 2.0


def workers(number: int) -> str:
    return "1 worker process" if number == 1 else f"{number} worker processes"


class Show:
    """Write to *console*; a bar only on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        self._console.print(text, markup=True)

    def waiting(self, text: str) -> AbstractContextManager[Any]:
        """Show *text* while the block runs; nothing where it could not be removed again."""
        return self._console.status(text) if self._console.is_terminal else nullcontext()

    def watch(self, play: Play) -> Moment:
        """Show how far *play* is until it is done, and return the last look."""
        return self._bar(play) if self._console.is_terminal else self._lines(play)

    def _bar(self, play: Play) -> Moment:
        columns = (
            TextColumn("  "),
            BarColumn(bar_width=40, finished_style="green"),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} jobs"),
            TextColumn("[dim]{task.fields[note]}"),
        )
        moment = Moment(0, 1, 0, {})
        with Progress(*columns, console=self._console) as progress:
            bar = progress.add_task("", total=1, note="")
            for moment in play.progress():
                progress.update(bar, completed=moment.done, total=moment.jobs, note=_note(moment))
        return moment

    def _lines(self, play: Play) -> Moment:
        moment, said = Moment(0, 1, 0, {}), 0.0
        for moment in play.progress():
            if moment.seconds - said >= _LINE_SECONDS and moment.states:
                said = moment.seconds
                self.say(f"  {moment.done:,} of {moment.jobs:,} jobs, {_note(moment)}")
        return moment

    def end(self, figures: Figures, span: Callable[[float], str]) -> None:
        """Print the report: what the jobs found, and what the queue did."""
        self._console.print()
        self._console.print(_findings(figures))
        self._console.print()
        self._console.print(_deeds(figures, span))
        self._console.print()

    def ways_on(self, stage: Stage, *, keep: bool, dashboard: str | None = None) -> None:
        """Print what to try next; *dashboard*: the URL of the dashboard."""
        if keep:
            self.say("[bold]It goes on until Ctrl-C.[/bold]")
            if dashboard is not None:
                self.say("Look around in a browser; the link works once:\n")
                self._console.print(f"  {dashboard}\n", soft_wrap=True)
            self.say("Look around from another terminal:\n")
            self.say(
                f"  export PGQUEUE_URL='{stage.url}' PGQUEUE_SCHEMA={SCHEMA}",
            )
            for command in (
                "pgqueue status --watch",
                "pgqueue jobs list --task stumble",
                "pgqueue queues pause demo.clock",
                "pgqueue enqueue tick '{\"number\": 1}' --queue demo.clock --delay 2",
            ):
                self.say(f"  {command}")
            return
        self.say("[bold]Next[/bold]")
        steps = {
            "pgqueue demo --keep": "the same, and look around: status --watch, jobs list, ...",
            "pgqueue demo DIRECTORY": "the same with your own Python files",
            "pgqueue migrate --url URL": "the tables, in your database",
            "pgqueue worker APP": "your own tasks; the README has them in ten lines",
        }
        grid = Table.grid(padding=(0, 2))
        for command, use in steps.items():
            grid.add_row(Text(f"  {command}", "cyan"), use)
        self._console.print(grid)


def _note(moment: Moment) -> str:
    rate = moment.done / moment.seconds if moment.seconds else 0
    names = {"running": "running", "retryable": "to retry", "scheduled": "scheduled"}
    parts = [
        f"{moment.states[state]} {name}" for state, name in names.items() if state in moment.states
    ]
    return " · ".join([f"{rate:,.0f}/s", *parts])


def _findings(figures: Figures) -> Table:
    report = figures.report
    root = Path(figures.directory)
    unreadable = f", {report.unreadable} of them not Python after all" if report.unreadable else ""
    largest = (f"{Path(path).relative_to(root)} {lines:,}" for path, lines in report.largest[:3])
    imported = (f"{module} {count:,}" for module, count in report.imported)
    return _grid(
        "dim",
        {
            "files": f"{report.files:,}{unreadable}",
            "lines": f"{report.lines:,} with {report.functions:,} functions and "
            f"{report.classes:,} classes",
            "largest": ", ".join(largest),
            "most imported": ", ".join(imported),
        },
    )


def _deeds(figures: Figures, span: Callable[[float], str]) -> Table:
    late, pickup = figures.lateness, figures.pickup
    return _grid(
        "bold green",
        {
            f"{figures.jobs:,} jobs": f"in {figures.seconds:.1f} s on "
            f"{workers(figures.processes)}, {figures.jobs_per_second:,.0f}/s; enqueued in "
            f"{span(figures.enqueue_seconds)}, {figures.seen_before_commit or 'none'} seen before "
            "COMMIT",
            f"{figures.retried} retried": "they fail at their first attempt, on purpose",
            f"{late.jobs} on time": "due at set instants while all were busy; late by "
            f"{span(late.p50_seconds)} p50, {span(late.p99_seconds)} p99",
            f"{pickup.jobs} one by one": "picked up by idle workers after "
            f"{span(pickup.p50_seconds)} p50, {span(pickup.p99_seconds)} p99",
            f"{figures.burst_jobs:,} empty": "what the queue itself can do here: "
            f"{figures.burst_per_second:,} jobs/s",
        },
    )


def _grid(style: str, rows: Mapping[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=style, justify="right", no_wrap=True)
    grid.add_column()
    for name, text in rows.items():
        if text:
            grid.add_row(name, text)
    return grid
