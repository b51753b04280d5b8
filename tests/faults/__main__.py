"""`python -m tests.faults`: see `--help`."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random
from time import monotonic

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.faults.kinds import Kind
from tests.faults.report import Report
from tests.faults.rounds import Plan, play
from tests.faults.scenarios import STAGES, Stage, prepare

SHORT_SEED = 7
SHORT_MINUTES = 0.4
SHORT_PAUSE = 0.8
LONGEST_PAUSE = 2.0
STORES = ("pgqueue-postgres-*", "store-*", "*.so")  # folders that are not kept


@click.command()
@click.option("--seed", type=int, help="What is drawn is drawn from it.")
@click.option("--minutes", type=float, default=5.0, show_default=True)
@click.option(
    "--scenario", multiple=True, metavar="NAME", help="Only this stage, or kind; may be repeated."
)
@click.option("--store", type=click.Choice(list(STAGES)), default="postgres", show_default=True)
@click.option(
    "--short", is_flag=True, help="A minute or two, a fixed seed, nothing that needs root."
)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures there.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep journals and logs there.")
@click.option("--list", "only_list", is_flag=True, help="Say what there is.")
def main(
    seed: int | None,
    minutes: float,
    scenario: tuple[str, ...],
    store: str,
    short: bool,
    file: Path | None,
    keep: Path | None,
    only_list: bool,
) -> None:
    """Break everything around pgqueue for a while; exit with 1 if a guarantee was broken."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # connections break here all the time
    console = Console() if sys.stdout.isatty() else Console(width=100)
    if short:
        seed, minutes = SHORT_SEED, SHORT_MINUTES
    seed = Random().randrange(1_000_000) if seed is None else seed
    report = Report()
    chosen = _chosen(STAGES[store], scenario, report, short)
    if only_list:
        for name, (_, kinds) in chosen.items():
            console.print(f"{name}: {', '.join(kind.name for kind in kinds)}", highlight=False)
        return
    console.print(f"seed {seed}, {minutes:g} minutes of faults, {store}", highlight=False)
    shares = sum(stage.share for stage, _ in chosen.values())
    folder = Path(tempfile.mkdtemp(prefix="pgqueue-faults-"))
    folder.chmod(0o755)
    try:
        for number, (name, (stage, kinds)) in enumerate(chosen.items()):
            seconds = 60 * minutes * stage.share / shares
            place = folder / name
            place.mkdir(mode=0o755)
            _stage(name, stage, kinds, seconds, seed + number, place, report, console, short)
    except KeyboardInterrupt:
        console.print("interrupted; what there is by now:")
    finally:
        if keep is not None or report.violations:
            kept = keep or folder
            if keep is not None:
                stores = shutil.ignore_patterns(*STORES)
                shutil.copytree(folder, keep, dirs_exist_ok=True, ignore=stores)
            console.print(f"journals and logs: {kept}", highlight=False)
        if keep is not None or not report.violations:
            shutil.rmtree(folder, ignore_errors=True)
    report.show(console)
    if file is not None:
        document = {"seed": seed, "minutes": minutes, "store": store, **report.document()}
        file.write_text(json.dumps(document, indent=1, ensure_ascii=False))
    sys.exit(1 if report.violations else 0)


def _chosen(
    stages: dict[str, Stage], wanted: tuple[str, ...], report: Report, short: bool
) -> dict[str, tuple[Stage, list[type[Kind]]]]:
    """The stages to be played, with their kinds. Raises UsageError for a name nobody has."""
    known = {*stages, *(kind.name for stage in stages.values() for kind in stage.kinds)}
    if unknown := set(wanted) - known:
        raise click.UsageError(f"no scenario {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = {}
    for name, stage in stages.items():
        if short and stage.root:
            continue
        kinds, lacking = stage.playable()
        report.skipped |= {f"{name}/{kind}": why for kind, why in lacking.items()}
        if wanted and name not in wanted:
            kinds = [kind for kind in kinds if kind.name in wanted]
        if kinds:
            chosen[name] = (stage, kinds)
    return chosen


def _stage(
    name: str,
    stage: Stage,
    kinds: list[type[Kind]],
    seconds: float,
    seed: int,
    folder: Path,
    report: Report,
    console: Console,
    short: bool,
) -> None:
    began = monotonic()
    columns = (TextColumn("{task.fields[stage]:10}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console) as progress:
        bar = progress.add_task("starting", total=seconds, stage=name)

        def tell(text: str) -> None:
            progress.update(bar, description=text, completed=min(seconds, monotonic() - began))

        pause = SHORT_PAUSE if short else LONGEST_PAUSE
        plan = Plan(
            stage.open_site,
            kinds,
            seconds,
            seed,
            longest_pause=pause,
            prepare=prepare(kinds),
        )
        played = play(plan, folder, tell)
        found, facts = report.add(name, played), played.facts
        tell(f"{len(facts.jobs)} jobs, {len(facts.faults)} faults, {len(found)} wrong")


if __name__ == "__main__":
    main()
