"""`python -m tests.faults`: see `--help`."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from time import monotonic

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tests.faults.kinds import Kind
from tests.faults.parts import Part, perform
from tests.faults.report import Report
from tests.faults.scenarios import STAGES, Stage

SHORT_SEED = 7
SHORT_MINUTES = 0.4
SHORT_PAUSE = 0.8
SHORT_AT_ONCE = 2
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
    "--short",
    is_flag=True,
    help="Four minutes, a fixed seed, nothing that needs root; two stages at a time.",
)
@click.option(
    "--shipped", is_flag=True, help="Workers as shipped: what outlasts frozen_after lasts 90 s."
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
    shipped: bool,
    file: Path | None,
    keep: Path | None,
    only_list: bool,
) -> None:
    """Break everything around pgqueue for a while; exit with 1 if a guarantee was broken.

    A stage is a store with the kinds of faults that are dealt there: `--list` names them. Each kind
    has its turn, however short the minutes.

    The workers run with a frozen_after of five seconds instead of sixty, a heartbeat of one instead
    of ten, and a term of five instead of fifteen. So outages, suspended machines and locked tables
    of nine seconds are what ninety are to a worker as shipped; `--shipped` plays those.

    What is counted: jobs that were committed and are gone, or that nobody committed; second runs
    with nothing to explain them; second runs of a job whose worker was neither dead, nor frozen,
    nor forgotten by a store that went back (`robbed`), whatever else went on; children before
    their parents; ends by those who had lost the job; keys held twice; jobs that could run and
    waited for more than fifteen seconds behind what somebody else's transaction holds (`waited`);
    workers that end by themselves, do not end, or take no jobs any more; instants of schedules
    that have no job or two, are early, or are lost though neither policy, pause nor change says so
    (`fired`, `timely`, `unfired`, `overlapping`), late behind a row that is not theirs
    (`delayed`), not made up for when somebody asked for that (`backfilled`), or whose older jobs
    are cancelled without a newer one, or go on beside it (`replaced`); more running jobs of a key,
    or more starts in any time, than a queue's limits allow, and jobs of a key out of order
    (`crowded`, `rated`, `ordered`); jobs with unique keys that miss an edit, have one that was
    rolled back, run at once, or are two in one window (`heeded`, `undone`, `single`, `windowed`),
    and errors that nothing explains (`clashed`). What a store forgot,
    because an older one was restored in its place, is not counted as lost, nor what was run of it;
    what it had before must be there.
    """
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
    parts = []
    for number, (name, (stage, kinds)) in enumerate(chosen.items()):
        place = folder / name
        place.mkdir(mode=0o755)
        parts.append(
            Part(
                store,
                name,
                tuple(kind.name for kind in kinds),
                60 * minutes * stage.share / shares,
                seed + number,
                place,
                SHORT_PAUSE if short else LONGEST_PAUSE,
                shipped,
            )
        )
    try:
        _play(parts, SHORT_AT_ONCE if short else 1, report, console)
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
        if short and (stage.root or stage.long):
            continue
        kinds, lacking = stage.playable()
        report.skipped |= {f"{name}/{kind}": why for kind, why in lacking.items()}
        if wanted and name not in wanted:
            kinds = [kind for kind in kinds if kind.name in wanted]
        if short:
            kinds = [kind for kind in kinds if not kind.calm]
        if kinds:
            chosen[name] = (stage, kinds)
    return chosen


def _play(parts: Sequence[Part], at_once: int, report: Report, console: Console) -> None:
    """Plays *parts*, with a bar for each; *report* learns what they found."""
    columns = (TextColumn("{task.fields[stage]:10}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console) as progress:
        bars: dict[str, tuple[TaskID, float]] = {}

        def tell(part: Part, text: str) -> None:
            if part.stage not in bars:
                bar = progress.add_task(text, total=None, stage=part.stage)
                bars[part.stage] = bar, monotonic()
            bar, began = bars[part.stage]
            done = min(part.seconds, monotonic() - began)
            progress.update(bar, description=text, completed=done, total=part.seconds + 0.1)

        for part, played in perform(parts, at_once, tell):
            found, facts = report.add(part.stage, played), played.facts
            tell(part, f"{len(facts.jobs)} jobs, {len(facts.faults)} faults, {len(found)} wrong")
            progress.update(bars[part.stage][0], completed=part.seconds + 0.1)


if __name__ == "__main__":
    main()
