"""python -m benchmarks SCENARIO: runs the contenders in turn, repeatedly, and compares them."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.contenders import Contender, contenders
from benchmarks.figures import Book
from benchmarks.scenarios import NAMES, Case, cases
from benchmarks.stand import Failed, Stand, Unsupported
from benchmarks.stores import Store, machine, store
from benchmarks.tables import number, show
from benchmarks.venvs import Environments, NotInstalled

console = Console()


@click.command()
@click.argument("scenario", type=click.Choice([*NAMES, "bridges", "report"]), metavar="SCENARIO")
@click.option(
    "--backend", type=click.Choice(["postgres", "sqlite", "redis"]), default="postgres",
    show_default=True, help="The store to measure on.",
)  # fmt: skip
@click.option("--peers", default="", metavar="all|NAME,…", help="Other queues to measure beside.")
@click.option("--repeat", type=int, help="How often each case is measured: 3 times; smoke once.")
@click.option("--size", type=int, help="How many jobs, instead of the scenario's own number.")
@click.option("--url", help="A server (for SQLite a folder) to measure on, instead of our own.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this contender; may be repeated.")
@click.option("--case", multiple=True, metavar="TEXT", help="Only cases with this in their title.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures there.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw them into this folder (SVG).")
@click.option("--peers-dir", type=click.Path(path_type=Path), help="Where peers are installed.")
def main(
    scenario: str,
    backend: str,
    peers: str,
    repeat: int | None,
    size: int | None,
    url: str | None,
    only: tuple[str, ...],
    case: tuple[str, ...],
    file: Path | None,
    plot: Path | None,
    peers_dir: Path | None,
) -> None:
    """Measure one of: drain, enqueue, latency, bursts, held, backlog, graphs, idle, limits,
    footprint, bridges, smoke. Or write the `report` of what is kept in benchmarks/results.

    Interrupted, it shows what there is, and has written it.
    """
    if scenario == "report":
        from benchmarks.report import write

        for path in write():
            console.print(f"wrote {path}")
        return
    if scenario == "bridges":
        from benchmarks import bridges

        bridges.main(size, repeat, case)
        return
    known = contenders(backend)
    chosen = [
        each
        for each in cases(scenario, size, backend)
        if not case or any(text in each.title for text in case)
    ]
    if not chosen:
        raise click.UsageError(f"{scenario} has no such case on {backend}")
    run = Run(scenario, backend, _peers(peers, known), only, file)
    environments = Environments(peers_dir, _say)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with store(backend, url) as place:
        run.surroundings = {**place.describe(), **machine()}
        with contextlib.suppress(KeyboardInterrupt):
            for repetition in range(repeat or (1 if scenario == "smoke" else 3)):
                for each in chosen:
                    run.measure(place, environments, each, repetition)
    document = run.document()
    show(console, document)
    if plot is not None:
        from benchmarks.plots import draw

        for path in draw(document, plot):
            console.print(f"drew {path}", style="dim")


def _reason(problem: Exception) -> str:
    match problem:
        case Unsupported():
            return str(problem)
        case NotInstalled():
            return f"not installed: {problem}"
        case Failed():
            return f"failed: {problem}"
    return f"failed: {type(problem).__name__}: {problem}"


def _say(text: str) -> None:
    console.print(text, style="dim", markup=False)


def _peers(wanted: str, known: Mapping[str, Contender]) -> list[str]:
    names = [name for name, contender in known.items() if contender.is_peer]
    if wanted == "all":
        return names
    asked = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in asked:
        if name not in names:
            raise click.BadParameter(f"{name}: there are {', '.join(names)}", param_hint="--peers")
    return asked


class Run:
    """One scenario: what has been measured so far is always in *file*."""

    def __init__(
        self,
        scenario: str,
        backend: str,
        peers: Sequence[str],
        only: Sequence[str],
        file: Path | None,
    ) -> None:
        self._scenario = scenario
        self._backend = backend
        self._known = contenders(backend)
        self._peers = peers
        self._only = only
        self._file = file
        self._book = Book()
        self._measured: dict[str, Contender] = {}
        self._began = time.time()
        self.surroundings: dict[str, Any] = {}

    def measure(
        self, place: Store, environments: Environments, case: Case, repetition: int
    ) -> None:
        """One case with each contender, in changing turns: so being first is no advantage."""
        wanted = [
            self._here(name) for name in (*case.contenders, *(self._peers if case.peers else ()))
        ]
        names = [
            name
            for name in dict.fromkeys(wanted)
            if name in self._known and (not self._only or name in self._only)
        ]
        turn = repetition % len(names) if names else 0
        for name in [*names[turn:], *names[:turn]]:
            if self._book.is_absent(case.title, name):
                continue
            contender = self._measured[name] = self._known[name]
            label = f"{repetition + 1}. {case.title}: {name}:"
            try:
                with place.fresh() as url, Stand(place, url, contender, environments) as stand:
                    figures = case.measure(stand)
            except Exception as problem:  # one contender's trouble ends no run of hours
                reason = _reason(problem)
                self._book.note_absence(case.title, name, reason)
                self._save()
                console.print(f"{label} {reason}", style="yellow", markup=False)
            else:
                baseline = self._here(case.baseline)
                self._book.note(case.title, baseline, name, repetition, figures)
                self._save()
                listed = ", ".join(f"{number(value)} {figure}" for figure, value in figures.items())
                _say(f"{label} {listed}")

    def _here(self, name: str) -> str:
        """Its name on this store: where a bare loop always wakes the worker, it is just raw."""
        return "raw" if name == "raw+notify" and name not in self._known else name

    def document(self) -> dict[str, Any]:
        """All of it, as it is kept."""
        return {
            "scenario": self._scenario,
            "backend": self._backend,
            "command": " ".join(["python -m benchmarks", *map(shlex.quote, sys.argv[1:])]),
            "began": time.strftime("%Y-%m-%d %H:%M", time.gmtime(self._began)),
            "minutes": round((time.time() - self._began) / 60, 1),
            "surroundings": self.surroundings,
            "contenders": [
                {
                    "name": contender.name,
                    "language": contender.language,
                    "packages": contender.packages,
                    "settings": contender.settings,
                }
                for contender in self._measured.values()
            ],
            "rows": [row.as_dict() for row in self._book.rows()],
            "absences": [absence.as_dict() for absence in self._book.absences()],
        }

    def _save(self) -> None:
        if self._file is not None:
            draft = self._file.with_name(self._file.name + ".part")
            draft.write_text(json.dumps(self.document(), indent=1, ensure_ascii=False) + "\n")
            draft.replace(self._file)


main()
