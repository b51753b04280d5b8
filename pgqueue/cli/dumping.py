"""`pgqueue jobs dump`, `import` and `tidy`: jobs to a file and back, and what retention deletes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli.choosing import filter_of, filters
from pgqueue.cli.command import Command, Failure
from pgqueue.cli.printable import say
from pgqueue.cli.store import Store, acting_options, json_option, store_options

if TYPE_CHECKING:
    from pgqueue.copying.importing import Imported

FILE = click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))


@click.command(cls=Command)
@FILE
@filters
@store_options
@json_option
def dump(path: Path, store: Store, as_json: bool, **options: Any) -> None:
    """Write jobs to FILE, one JSON document a line: all, or those of a filter.

    With arguments, results, errors, edges and workflows. A name that ends in .gz is compressed.
    FILE appears once it is complete; an interrupted dump begins anew.
    """
    from pgqueue.copying import dumping
    from pgqueue.jobs.filters import Filter

    if path.exists():
        raise Failure(f"{path} is there already; give a name that is not")
    filter = filter_of(options) or Filter()
    with store.connected() as connected, _bar("jobs", None) as advance:
        part = path.with_name(f"{path.stem}.part{path.suffix}")
        part.unlink(missing_ok=True)
        file = dumping.DumpFile(part)
        try:
            count = connected.carry(dumping.dump(filter, file, advance))
        finally:
            file.close()
        part.rename(path)
    if as_json:
        from pgqueue.cli.output import print_json

        print_json({"file": str(path), "jobs": count})
    else:
        say(f"{count:,} jobs written to {path}")


@click.command("import", cls=Command)
@FILE
@click.option(
    "--keep-schedule", is_flag=True, help="Jobs that wait for their time wait for it here, too."
)
@click.option("--again", is_flag=True, help="Also if they were imported before.")
@click.option("--dry-run", is_flag=True, help="Only say what is in it.")
@acting_options
@json_option
def import_jobs(
    path: Path, store: Store, as_json: bool, keep_schedule: bool, again: bool, dry_run: bool
) -> None:
    """Bring the jobs of FILE here, under new ids, with their graph.

    What waits for its time runs now, unless --keep-schedule. An import that was interrupted is
    started again, and brings what is missing; one that is complete is refused.
    """
    from pgqueue.copying.importing import Importer
    from pgqueue.operations.auditing import audit

    if not path.exists():
        raise Failure(f"there is no {path}")
    with store.connected() as connected:
        importer = Importer(path, connected, keep_schedule=keep_schedule, again=again)
        report = importer.survey()
        if not dry_run:
            with _bar("jobs", sum(report.jobs.values())) as advance:
                importer.run(advance)
            answer = f"{report.brought:,} jobs imported from {path.name}"
            connected.execute(
                audit(
                    store.who,
                    "import",
                    count=report.brought,
                    answer=answer,
                    reason=store.reason,
                )
            )
    if as_json:
        from pgqueue.cli.output import print_json

        print_json({"dry_run": dry_run, **vars(report)})
        return
    for line in _lines(report, dry_run):
        say(line)


@click.command(cls=Command)
@click.argument("app", metavar="APP")
@click.option("--url", envvar="PGQUEUE_URL", metavar="URL", help="Where the jobs live.")
@json_option
def tidy(app: str, url: str | None, as_json: bool) -> None:
    """Delete now what the retention of APP, "shop.tasks:app", would delete.

    The leader among its workers does that by itself, hour by hour.
    """
    from pgqueue import operations
    from pgqueue.backends.plans import carry_out
    from pgqueue.cli.app_loading import find_app

    found = find_app(app)
    if url is not None:
        found.use(url)
    try:
        dropped, deleted = carry_out(operations.tidy(found.retention), found.execute)
    finally:
        found.close()
    if as_json:
        from pgqueue.cli.output import print_json

        print_json({"days": dropped, "jobs": deleted})
    else:
        say(f"{dropped} days and {deleted:,} single jobs deleted")


@contextmanager
def _bar(name: str, total: int | None) -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(name, total=total)
        yield lambda count: progress.advance(bar, count)


def _lines(report: Imported, dry_run: bool) -> Iterator[str]:
    total = sum(report.jobs.values())
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(report.jobs.items()))
    if dry_run:
        yield f"{total:,} jobs: {states}" if total else "no jobs"
        return
    yield f"{report.brought:,} of {total:,} jobs imported: {states}" if total else "no jobs"
    if report.windows:
        yield f"{report.windows:,} unique keys hold for their time here, too"
    if report.there:
        yield f"{report.there:,} were here already, or an unfinished job has their unique key"
    if report.left:
        some = ", ".join(map(str, report.left[:5]))
        yield f"{len(report.left):,} wait for jobs that are not in the file, and stay out ({some})"
